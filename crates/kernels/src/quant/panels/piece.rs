//! A span of one row on its way into a strip.

use bytemuck::{Pod, Zeroable};
use pulp::x86::V4;

use super::{Factors, LANES, Layout, Line, SPAN, Zero};
use crate::{
    gemm::transpose::Transpose,
    quant::{
        BlockFormat, BlockMatrix, E2M1, GROUP_SIZE, QuantFormat, QuantizedMatrix,
        blocks::{Block, IQ4, Iq4Xs, Mxfp4, Q2K, Q3K, Q4K, Q5K, Q6K, SixBits, with_block},
        zero_point,
    },
};

/// Up to eight groups. What a format does not have stays as it is.
#[derive(Clone, Copy, Zeroable)]
pub(super) struct Piece {
    /// As they are stored: no less than 0, or names.
    quants: [u8; SPAN * GROUP_SIZE],
    /// Binary16 bits of each group's scale, and of what is added.
    scales: [u16; SPAN],
    constants: [u16; SPAN],
    /// Zero points, or exponents.
    bytes: [u8; SPAN],
    /// Binary16 bits of the block's two numbers, and what they are multiplied with.
    of_block: [u16; 2],
    factors: [u8; 2 * SPAN],
    minima: [u8; 2 * SPAN],
}

impl Piece {
    /// Span `span` of a row.
    #[inline(always)]
    pub fn fill(&mut self, matrix: QuantizedMatrix<'_>, row: usize, span: usize) {
        let (row, bytes) = (matrix.row(row), matrix.format.group_bytes());
        let scales = row.scales[span * SPAN..].iter().take(SPAN);
        for (group, scale) in scales.enumerate() {
            let at = span * SPAN + group;
            let stored = &row.quants[at * bytes..][..bytes];
            let quants = &mut self.quants[group * GROUP_SIZE..][..GROUP_SIZE];
            self.scales[group] = scale.to_bits();
            match matrix.format {
                QuantFormat::Int8 => quants.copy_from_slice(stored),
                QuantFormat::Int4 | QuantFormat::Mxfp4 => {
                    for (pair, byte) in quants.as_chunks_mut().0.iter_mut().zip(stored) {
                        *pair = [byte & 0xf, byte >> 4];
                    }
                }
            }
            if matrix.format == QuantFormat::Int4 {
                self.bytes[group] = zero_point(row.zero_points, at) as u8;
            }
        }
    }

    /// The same of a row in blocks.
    #[inline(always)]
    pub fn fill_blocks(&mut self, matrix: BlockMatrix<'_>, row: usize, span: usize) {
        let row = matrix.row(row);
        let of_span = SPAN * GROUP_SIZE / matrix.format.block_len() * matrix.format.block_bytes();
        let bytes = &row[span * of_span..row.len().min((span + 1) * of_span)];
        // What makes a quant no less than 0, or its name.
        let (offset, table) = match matrix.format {
            BlockFormat::Q8_0 => (128, None),
            BlockFormat::Q4_0 => (8, None),
            BlockFormat::Q5_0 => (16, None),
            BlockFormat::Q3K => (4, None),
            BlockFormat::Q6K => (32, None),
            BlockFormat::Iq4Nl | BlockFormat::Iq4Xs => (0, Some(&IQ4)),
            BlockFormat::Mxfp4 => (0, Some(&E2M1)),
            BlockFormat::Q4_1 | BlockFormat::Q5_1 | BlockFormat::Q2K | BlockFormat::Q4K | BlockFormat::Q5K => (0, None),
        };
        with_block!(matrix.format, B => self.fill_quants::<_, _, B>(bytemuck::cast_slice(bytes), offset));
        if let Some(table) = table {
            let mut names = [0; 256];
            for (name, number) in (0_u8..).zip(table) {
                names[usize::from(*number as u8)] = name;
            }
            for quant in &mut self.quants {
                *quant = names[usize::from(*quant)];
            }
        }
        match matrix.format {
            BlockFormat::Q4K => self.six_bits(&bytemuck::from_bytes::<Q4K>(bytes).factors),
            BlockFormat::Q5K => self.six_bits(&bytemuck::from_bytes::<Q5K>(bytes).factors),
            BlockFormat::Q2K => {
                let block: &Q2K = bytemuck::from_bytes(bytes);
                self.of_block = [block.d, block.dmin].map(u16::from_le_bytes);
                self.factors = block.scales.map(|both| both & 0xf);
                self.minima = block.scales.map(|both| both >> 4);
            }
            BlockFormat::Q3K => {
                let block: &Q3K = bytemuck::from_bytes(bytes);
                self.of_block[0] = u16::from_le_bytes(block.d);
                self.factors = block.factors().map(|factor| factor as u8);
            }
            BlockFormat::Q6K => {
                let block: &Q6K = bytemuck::from_bytes(bytes);
                self.of_block[0] = u16::from_le_bytes(block.d);
                self.factors = block.scales.map(|factor| factor as u8);
            }
            BlockFormat::Iq4Xs => {
                let block: &Iq4Xs = bytemuck::from_bytes(bytes);
                self.of_block[0] = u16::from_le_bytes(block.d);
                self.factors[..SPAN].copy_from_slice(&block.factors().map(|factor| factor as u8));
            }
            BlockFormat::Mxfp4 => {
                let blocks: &[Mxfp4] = bytemuck::cast_slice(bytes);
                for (byte, block) in self.bytes.iter_mut().zip(blocks) {
                    *byte = block.e;
                }
            }
            _ => {}
        }
    }

    /// The quants, and in blocks of 32 the factors.
    #[inline(always)]
    fn fill_quants<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>(&mut self, blocks: &[B], offset: u8) {
        for (i, block) in blocks.iter().enumerate() {
            let quants = block.quants().map(|quant| (quant as u8).wrapping_add(offset));
            self.quants[i * LEN..][..LEN].copy_from_slice(&quants);
            // Where a block is a group, its scale stands first, and what is added next.
            if let ([scale, constant, ..], 1) = (bytemuck::bytes_of(block).as_chunks::<2>().0, GROUPS) {
                self.scales[i] = u16::from_le_bytes(*scale);
                self.constants[i] = u16::from_le_bytes(*constant);
            }
        }
    }

    #[inline(always)]
    fn six_bits(&mut self, factors: &SixBits) {
        self.of_block = [factors.d, factors.dmin].map(u16::from_le_bytes);
        self.factors[..SPAN].copy_from_slice(&factors.scale_bits());
        self.minima[..SPAN].copy_from_slice(&factors.min_bits());
    }

    /// Lays so many groups of sixteen rows into the lines of a span.
    #[inline(always)]
    pub fn lay(simd: V4, rows: &[Self; LANES], layout: Layout, groups: usize, lines: &mut [Line]) {
        let (quants, factors) = lines.split_at_mut(groups * layout.quant_lines());
        // The units of four columns of two groups and sixteen rows are a square.
        for (pair, lines) in quants.chunks_mut(2 * layout.quant_lines()).enumerate() {
            let mut square = [[[0; 2 * GROUP_SIZE]; LANES]];
            for (to, row) in square[0].iter_mut().zip(rows) {
                to.copy_from_slice(&row.quants[2 * pair * GROUP_SIZE..][..2 * GROUP_SIZE]);
            }
            let units: [[[u32; LANES]; GROUP_SIZE / 4]; 2] = pulp::cast(simd.transposed(pulp::cast(square)));
            for (mut lines, units) in lines.chunks_exact_mut(layout.quant_lines()).zip(&units) {
                let mut place = 0;
                for bits in layout.plane_bits() {
                    let (plane, others) = lines.split_at_mut(bits);
                    match bits {
                        8 => lay_plane::<8>(units, place, plane),
                        4 => lay_plane::<4>(units, place, plane),
                        2 => lay_plane::<2>(units, place, plane),
                        _ => lay_plane::<1>(units, place, plane),
                    }
                    (lines, place) = (others, place + bits);
                }
            }
        }
        match layout.factors {
            Factors::Halves { minima } => {
                let (scales, constants) = factors.split_at_mut(groups.div_ceil(2));
                lay_factors(rows, groups, scales, |row, group| row.scales[group]);
                if minima {
                    lay_factors(rows, groups, constants, |row, group| row.constants[group]);
                }
            }
            Factors::Powers => lay_factors(rows, groups, factors, |row, group| row.bytes[group]),
            Factors::OfBlock { size, minima } => {
                let parts = SPAN * GROUP_SIZE / size;
                lay_factors(rows, 2, factors, |row, i| row.of_block[i]);
                lay_factors(rows, parts, &mut factors[1..], |row, part| row.factors[part]);
                if minima {
                    lay_factors(rows, parts, &mut factors[layout.minima_at()..], |row, part| row.minima[part]);
                }
            }
        }
        if let Zero::OfGroup = layout.zero {
            let zeros = factors[layout.zero_points_at(groups)].0.as_chunks_mut::<8>().0;
            for (group, zeros) in zeros.iter_mut().enumerate().take(groups) {
                *zeros = std::array::from_fn(|lane| rows[lane].bytes[group] | rows[8 + lane].bytes[group] << 4);
            }
        }
    }
}

/// `BITS` bits of each quant of a group, from bit `place` on, become a plane of as many lines.
#[inline(always)]
fn lay_plane<const BITS: usize>(units: &[[u32; LANES]; GROUP_SIZE / 4], place: usize, plane: &mut [Line]) {
    let mask = u32::from_ne_bytes([0xff >> (8 - BITS); 4]);
    for (line, units) in plane.iter_mut().zip(units.chunks_exact(8 / BITS)) {
        let mut words = [0; LANES];
        for (i, unit) in units.iter().enumerate() {
            for (word, four) in words.iter_mut().zip(unit) {
                *word |= (four >> place & mask) << (i * BITS);
            }
        }
        *line = pulp::cast(words);
    }
}

/// `of` returns number `at` of a row, of `count`.
#[inline(always)]
fn lay_factors<T: Pod>(rows: &[Piece; LANES], count: usize, lines: &mut [Line], of: impl Fn(&Piece, usize) -> T) {
    let (numbers, _) = bytemuck::cast_slice_mut(lines).as_chunks_mut::<LANES>();
    for (at, numbers) in numbers.iter_mut().enumerate().take(count) {
        *numbers = std::array::from_fn(|lane| of(&rows[lane], at));
    }
}
