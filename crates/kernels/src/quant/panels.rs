//! Quantized matrices as the processor multiplies them: sixteen rows side by side, so that a vector register holds the same
//! four columns of each, and their products are in sixteen lanes from the first to the last.
//!
//! What lies row by row in a file is laid so once, when it is loaded, in as many bytes. One product then reads memory from
//! end to end, and many need not move the weights to where they are multiplied.

use std::ops::Range;

use bytemuck::{Pod, Zeroable, cast_mut, cast_ref, cast_slice};
use half::f16;

use super::{
    BlockFormat, BlockMatrix, GROUP_SIZE, QuantFormat, QuantizedMatrix,
    blocks::{Block, Q4_0, Q8_0},
    groups, zero_point,
};
use crate::share::share_each;

/// Groups of a span.
pub(crate) const SPAN: usize = 8;

/// Rows of a strip.
pub(crate) const LANES: usize = 16;

/// Strips that one thread lays before another wakes up.
const SERIAL: usize = 4;

/// A cache line.
#[derive(Clone, Copy, Debug, PartialEq, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [u8; 64]);

// SAFETY: 64 bytes, without padding.
unsafe impl Pod for Line {}

const NO_BYTES: Line = Line([0; 64]);

/// What a strip holds. A number is `(quant - zero point) * scale`, with a scale for each [`GROUP_SIZE`] columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanelFormat {
    /// Quants of 8 bits, whose zero point is 128.
    Eight,
    /// Quants of 4 bits, and a zero point for each group.
    Four,
}

impl PanelFormat {
    /// Lines of a group's quants.
    pub(crate) const fn quant_lines(self) -> usize {
        match self {
            Self::Eight => 8,
            Self::Four => 4,
        }
    }

    /// Lines of the zero points of a span: two to a byte.
    const fn zero_lines(self) -> usize {
        match self {
            Self::Eight => 0,
            Self::Four => 1,
        }
    }

    /// Lines of two groups: their quants and their scales.
    const fn pair_lines(self) -> usize {
        2 * self.quant_lines() + 1
    }

    /// Lines of a whole span.
    const fn span_lines(self) -> usize {
        SPAN / 2 * self.pair_lines() + self.zero_lines()
    }

    const fn strip_lines(self, groups: usize) -> usize {
        groups.div_ceil(2) * self.pair_lines() + groups.div_ceil(SPAN) * self.zero_lines()
    }
}

/// A matrix `[rows, columns]` in strips.
#[derive(Clone, Debug, PartialEq)]
pub struct Panels {
    pub(crate) format: PanelFormat,
    rows: usize,
    pub(crate) columns: usize,
    /// Of each strip, span by span: of each two groups the quants of either and then their scales; behind them the zero points.
    lines: Vec<Line>,
}

/// Sixteen rows.
#[derive(Clone, Copy)]
pub(crate) struct Strip<'a> {
    lines: &'a [Line],
    format: PanelFormat,
}

impl<'a> Strip<'a> {
    /// Groups from the first of a span on: all of it, or what is left.
    #[inline(always)]
    pub fn span(self, span: usize) -> Self {
        let first = span * self.format.span_lines();
        let end = self.lines.len().min(first + self.format.span_lines());
        Self { lines: &self.lines[first..end], ..self }
    }

    /// The quants of a span's group: four columns of every row in each line, or eight, of which the first four are in the lower
    /// halves of the bytes.
    #[inline(always)]
    pub fn quants(&self, group: usize) -> &'a [Line] {
        let lines = self.format.quant_lines();
        &self.lines[group / 2 * self.format.pair_lines() + group % 2 * lines..][..lines]
    }

    /// The bits of its scales.
    #[inline(always)]
    pub fn scales(&self, group: usize) -> &'a [u16; LANES] {
        let line = &self.lines[(group / 2 + 1) * self.format.pair_lines() - 1];
        let two: &[[u16; LANES]; 2] = cast_ref(line);
        &two[group % 2]
    }

    /// The zero points, those of the first eight rows in the lower halves.
    #[inline(always)]
    pub fn zero_points(&self, group: usize) -> [u8; 8] {
        let all: &[[u8; 8]; SPAN] = cast_ref(&self.lines[self.lines.len() - 1]);
        all[group]
    }

    pub fn bytes(self) -> &'a [u8] {
        cast_slice(self.lines)
    }
}

impl Panels {
    /// `None` if no kernel of this machine reads strips.
    pub fn of(matrix: QuantizedMatrix<'_>) -> Option<Self> {
        let format = match matrix.format {
            QuantFormat::Int8 => PanelFormat::Eight,
            QuantFormat::Int4 => PanelFormat::Four,
            QuantFormat::Mxfp4 => return None,
        };
        Self::laid(format, matrix.rows(), matrix.columns, |row, group| {
            let row = matrix.row(row);
            let bytes = &row.quants[group * matrix.format.group_bytes()..][..matrix.format.group_bytes()];
            let mut quants = [0; GROUP_SIZE];
            let zero = match format {
                PanelFormat::Eight => {
                    quants.copy_from_slice(bytes);
                    0
                }
                PanelFormat::Four => {
                    for (pair, byte) in quants.as_chunks_mut().0.iter_mut().zip(bytes) {
                        *pair = [byte & 0xf, byte >> 4];
                    }
                    zero_point(row.zero_points, group) as u8
                }
            };
            (quants, row.scales[group], zero)
        })
    }

    /// The same of a matrix in blocks; `None` also if its format has no strips.
    pub fn of_blocks(matrix: BlockMatrix<'_>) -> Option<Self> {
        fn laid<B: Block<GROUP_SIZE, 1>>(matrix: BlockMatrix<'_>, format: PanelFormat, zero: u8) -> Option<Panels> {
            Panels::laid(format, matrix.rows(), matrix.columns, |row, group| {
                let blocks: &[B] = bytemuck::cast_slice(matrix.row(row));
                let quants = blocks[group].quants().map(|quant| (quant as u8).wrapping_add(zero));
                (quants, f16::from_f32(blocks[group].scales()[0]), zero)
            })
        }
        match matrix.format {
            BlockFormat::Q8_0 => laid::<Q8_0>(matrix, PanelFormat::Eight, 128),
            BlockFormat::Q4_0 => laid::<Q4_0>(matrix, PanelFormat::Four, 8),
            _ => None,
        }
    }

    /// `group` returns the quants of a group of a row, its scale and its zero point.
    fn laid(
        format: PanelFormat,
        rows: usize,
        columns: usize,
        group: impl Fn(usize, usize) -> ([u8; GROUP_SIZE], f16, u8) + Sync,
    ) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        let is_read = crate::Isa::best().vnni().is_some();
        #[cfg(not(target_arch = "x86_64"))]
        let is_read = false;
        if !is_read || columns == 0 {
            return None;
        }
        let mut panels = Self { format, rows, columns, lines: Vec::new() };
        let of_strip = panels.strip_lines();
        panels.lines = vec![NO_BYTES; rows.div_ceil(LANES) * of_strip];
        let strips = panels.lines.chunks_mut(SERIAL * of_strip).enumerate();
        share_each(strips, |(at, lines)| {
            for (strip, lines) in lines.chunks_exact_mut(of_strip).enumerate() {
                let first = (SERIAL * at + strip) * LANES;
                lay(format, groups(columns), lines, |lane, at| (first + lane < rows).then(|| group(first + lane, at)));
            }
        });
        Some(panels)
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    pub(crate) fn strip_bytes(&self) -> usize {
        self.strip_lines() * size_of::<Line>()
    }

    fn strip_lines(&self) -> usize {
        self.format.strip_lines(groups(self.columns))
    }

    /// Strips as they lie in memory.
    #[inline(always)]
    pub(crate) fn stored(&self, strips: Range<usize>) -> &[u8] {
        let lines = self.strip_lines();
        cast_slice(&self.lines[strips.start.min(strips.end) * lines..strips.end * lines])
    }

    /// `format` is that of this matrix, as the compiler may know it.
    #[inline(always)]
    pub(crate) fn strip(&self, format: PanelFormat, strip: usize) -> Strip<'_> {
        let lines = format.strip_lines(groups(self.columns));
        Strip { lines: &self.lines[strip * lines..][..lines], format }
    }

    /// Rows `rows` -> `out` `[rows, columns]`
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn dequantize(&self, rows: Range<usize>, out: &mut [f32]) {
        assert_eq!(out.len(), rows.len() * self.columns, "out is [rows, columns]");
        for (row, out) in rows.zip(out.chunks_exact_mut(self.columns)) {
            let (strip, lane) = (self.strip(self.format, row / LANES), row % LANES);
            for (group, out) in out.chunks_mut(GROUP_SIZE).enumerate() {
                let (span, group) = (strip.span(group / SPAN), group % SPAN);
                let scale = f16::from_bits(span.scales(group)[lane]).to_f32();
                let lines = span.quants(group);
                let zero = match self.format {
                    PanelFormat::Eight => 128,
                    PanelFormat::Four => i32::from(span.zero_points(group)[lane % 8] >> (lane / 8 * 4) & 0xf),
                };
                for (column, number) in out.iter_mut().enumerate() {
                    let (unit, byte) = (column / 4, 4 * lane + column % 4);
                    let quant = match self.format {
                        PanelFormat::Eight => lines[unit].0[byte],
                        PanelFormat::Four => lines[unit / 2].0[byte] >> (unit % 2 * 4) & 0xf,
                    };
                    *number = (i32::from(quant) - zero) as f32 * scale;
                }
            }
        }
    }
}

/// Lays the groups of sixteen rows, of which some may be none, into lines of zeros.
fn lay(
    format: PanelFormat,
    groups: usize,
    lines: &mut [Line],
    group: impl Fn(usize, usize) -> Option<([u8; GROUP_SIZE], f16, u8)>,
) {
    for (span, lines) in lines.chunks_mut(format.span_lines()).enumerate() {
        let last = lines.len() - 1;
        for at in 0..SPAN.min(groups - span * SPAN) {
            let pair = at / 2 * format.pair_lines();
            let quants_at = pair + at % 2 * format.quant_lines();
            for lane in 0..LANES {
                let Some((quants, scale, zero)) = group(lane, span * SPAN + at) else { continue };
                let scales: &mut [u16; 2 * LANES] = cast_mut(&mut lines[pair + format.pair_lines() - 1]);
                scales[at % 2 * LANES + lane] = scale.to_bits();
                let (to, units) = (&mut lines[quants_at..][..format.quant_lines()], quants.as_chunks::<4>().0);
                match format {
                    PanelFormat::Eight => {
                        for (line, unit) in to.iter_mut().zip(units) {
                            line.0[4 * lane..][..4].copy_from_slice(unit);
                        }
                    }
                    PanelFormat::Four => {
                        for (line, [low, high]) in to.iter_mut().zip(units.as_chunks().0) {
                            let both = u32::from_le_bytes(*low) | u32::from_le_bytes(*high) << 4;
                            line.0[4 * lane..][..4].copy_from_slice(&both.to_le_bytes());
                        }
                        lines[last].0[at * 8 + lane % 8] |= zero << (lane / 8 * 4);
                    }
                }
            }
        }
    }
}
