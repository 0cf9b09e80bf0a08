//! Panels of weights in blocks: a step is 32 columns, whose product is one exact integer or two, each then scaled.

use std::ops::Range;

use pulp::{Simd, cast, f32x16, x86::V4};

use super::{
    MR, MicroKernel,
    pack::{self, Rows, pack},
    quantized::{HEIGHT, QUANTS, VectorQuants, VectorScales, repeated, units},
};
use crate::{
    gemv::activations::Activations,
    isa::Vnni,
    prefetch::{Prefetcher, prefetch},
    quant::{
        BlockFormat, BlockMatrix, GROUP_SIZE,
        blocks::{Block, with_block},
    },
};

/// Columns of a piece, which is unpacked at a time: one large block, or eight small ones.
const PIECE: usize = 256;

/// Steps of a piece.
const STEPS: usize = PIECE / GROUP_SIZE;

/// The most groups of a piece.
const GROUPS: usize = PIECE / 16;

/// The offset that makes quants no less than 0 where there are no minima: products of bytes take unsigned ones.
const OFFSET: u8 = 128;

/// What blocks have in common that one kernel multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Groups of 32 columns: 1 or 2.
    pub halves: usize,
    /// Whether a group has a minimum. Quants are 0 to 31 then.
    pub minima: bool,
}

impl Grouping {
    const fn of<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>() -> Self {
        Self { halves: GROUPS * GROUP_SIZE / LEN, minima: B::MINS }
    }

    pub fn of_format(format: BlockFormat) -> Self {
        with_block!(format, B => Self::of::<_, _, B>())
    }
}

/// Vectors in 8 bits, and weights in blocks of one [`Grouping`].
#[derive(Clone, Copy)]
pub struct Blocks<'a, const HALVES: usize, const MINIMA: bool> {
    isa: Vnni,
    x: &'a Activations,
    vectors: usize,
    columns: usize,
}

impl<'a, const HALVES: usize, const MINIMA: bool> Blocks<'a, HALVES, MINIMA> {
    const GROUPING: Grouping = Grouping { halves: HALVES, minima: MINIMA };
    /// Units of a half.
    const UNITS: usize = QUANTS / HALVES;

    /// `x` `[vectors, columns]`, in plain order.
    pub fn new(isa: Vnni, x: &'a Activations, vectors: usize, columns: usize) -> Self {
        Self { isa, x, vectors, columns }
    }
}

impl<'a, const HALVES: usize, const MINIMA: bool> MicroKernel for Blocks<'a, HALVES, MINIMA> {
    type Simd = V4;
    type Weight = BlockMatrix<'a>;

    // As in `quantized`.
    const NR: usize = 6;
    /// Quants, and of each half a scale, and a minimum if there are any, ...
    const ROW_UNITS: usize = QUANTS + HALVES * (1 + MINIMA as usize);
    /// ... a scale, and of each half, negated, what multiplies the minimum, or what the offset adds to a product.
    const VECTOR_UNITS: usize = QUANTS + 1 + HALVES;
    const STEPS: usize = STEPS;

    #[inline(always)]
    fn simd(&self) -> V4 {
        self.isa.simd()
    }

    #[inline(always)]
    fn vectorize(&self, f: impl FnOnce()) {
        self.isa.vectorize(f);
    }

    fn vectors(&self) -> usize {
        self.vectors
    }

    fn rows(&self, weight: &BlockMatrix<'a>) -> usize {
        weight.rows()
    }

    fn steps(&self) -> usize {
        self.columns / GROUP_SIZE
    }

    #[inline(always)]
    fn pack_vectors(&self, vectors: Range<usize>, width: usize, steps: Range<usize>, packed: &mut [f32]) {
        let (quants, rest) = packed.split_at_mut(QUANTS * steps.len() * width);
        let (scales, sums) = rest.split_at_mut(steps.len() * width);
        let (simd, units) = (self.isa.simd(), units(&steps));
        pack(simd, VectorQuants(self.x), vectors.clone(), width, units, quants);
        pack(simd, VectorScales(self.x), vectors, width, steps, scales);
        let weight = simd.splat_u32s(repeated(if MINIMA { 1 } else { i32::from(OFFSET) }));
        let halves = quants.chunks_exact(Self::UNITS * width).zip(sums.chunks_exact_mut(width));
        for (half, (quants, sums)) in halves.enumerate() {
            let mut sum = cast(simd.splat_u32s(0));
            for quants in quants.chunks_exact(width) {
                let quants = simd.partial_load_f32s(quants);
                sum = self.isa.dot(sum, cast(weight), cast(quants));
            }
            let sum = cast(simd.sub_i32s(simd.splat_i32s(0), cast(sum)));
            let sum = if MINIMA {
                let scales = simd.partial_load_f32s(&scales[half / HALVES * width..][..width]);
                simd.mul_f32s(cast(simd.avx512f._mm512_cvtepi32_ps(sum)), scales)
            } else {
                cast(sum)
            };
            simd.partial_store_f32s(sums, sum);
        }
    }

    #[inline(always)]
    fn pack_rows(&self, weight: &BlockMatrix<'a>, rows: Range<usize>, steps: Range<usize>, packed: &mut [f32]) {
        let (quants, rest) = packed.split_at_mut(QUANTS * steps.len() * HEIGHT);
        let (scales, minima) = rest.split_at_mut(HALVES * steps.len() * HEIGHT);
        let simd = self.isa.simd();
        let mut unpacked = Unpacked::zeros();
        for first in steps.clone().step_by(STEPS) {
            let piece = first..steps.end.min(first + STEPS);
            let bytes = [piece.start, piece.end].map(|step| weight.format.row_bytes(step * GROUP_SIZE));
            for (i, row) in rows.clone().enumerate() {
                let blocks = &weight.row(row)[bytes[0]..bytes[1]];
                // Rows are far apart, and no processor follows as many of them by itself.
                for line in (0..blocks.len()).step_by(64) {
                    prefetch(blocks.as_ptr().wrapping_add(2 * blocks.len() + line));
                }
                with_block!(weight.format, B => unpacked.fill::<_, _, B>(i, blocks, Self::GROUPING));
            }
            let at = piece.start - steps.start..piece.end - steps.start;
            let there = 0..rows.len();
            let part = |units: usize| units * at.start * HEIGHT..units * at.end * HEIGHT;
            pack(simd, Quants(&unpacked), there.clone(), HEIGHT, 0..QUANTS * at.len(), &mut quants[part(QUANTS)]);
            let halves = HALVES * at.len();
            pack(simd, Factors(&unpacked.scales), there.clone(), HEIGHT, 0..halves, &mut scales[part(HALVES)]);
            if MINIMA {
                pack(simd, Factors(&unpacked.minima), there, HEIGHT, 0..halves, &mut minima[part(HALVES)]);
            }
        }
    }

    fn stored<'b>(&'b self, weight: &'b BlockMatrix<'a>, rows: Range<usize>) -> &'b [u8] {
        &weight.blocks[rows.start * weight.row_bytes()..rows.end * weight.row_bytes()]
    }

    #[inline(always)]
    fn add<const N: usize>(
        &self,
        w: &[[f32x16; MR]],
        x: &[[f32; N]],
        mut sums: [[f32x16; MR]; N],
        mut prefetcher: Prefetcher<'_>,
    ) -> [[f32x16; MR]; N] {
        let simd = self.isa.simd();
        let steps = w.len() / Self::ROW_UNITS;
        let (w, w_factors) = w.split_at(QUANTS * steps);
        let (w_scales, w_minima) = w_factors.split_at(HALVES * steps);
        let (x, rest) = x.split_at(QUANTS * steps);
        let (x_scales, x_sums) = rest.split_at(steps);
        let halves = w.chunks_exact(Self::UNITS).zip(x.chunks_exact(Self::UNITS));
        let halves = halves.zip(w_scales.iter().zip(x_sums));
        for (half, ((w, x), (w_scales, x_sums))) in halves.enumerate() {
            let mut dots = [[cast(simd.splat_u32s(0)); MR]; N];
            if !MINIMA {
                for (dots, offset) in dots.iter_mut().zip(x_sums) {
                    *dots = [cast(simd.splat_f32s(*offset)); MR];
                }
            }
            for (w, x) in w.iter().zip(x) {
                prefetcher.step();
                for (dots, x) in dots.iter_mut().zip(x) {
                    let x = simd.splat_f32s(*x);
                    for (dot, w) in dots.iter_mut().zip(w) {
                        *dot = self.isa.dot(*dot, cast(*w), cast(x));
                    }
                }
            }
            for ((sums, dots), x) in sums.iter_mut().zip(&dots).zip(&x_scales[half / HALVES]) {
                let x = simd.splat_f32s(*x);
                for ((sum, dot), w) in sums.iter_mut().zip(dots).zip(w_scales) {
                    let dot = cast(simd.avx512f._mm512_cvtepi32_ps(*dot));
                    *sum = simd.mul_add_e_f32s(dot, simd.mul_f32s(*w, x), *sum);
                }
            }
            if MINIMA {
                for (sums, x) in sums.iter_mut().zip(x_sums) {
                    let x = simd.splat_f32s(*x);
                    for (sum, minimum) in sums.iter_mut().zip(&w_minima[half]) {
                        *sum = simd.mul_add_e_f32s(*minimum, x, *sum);
                    }
                }
            }
        }
        sums
    }
}

/// A piece of each row of a tile. Rows that there are not stay zero.
struct Unpacked {
    quants: [[u8; PIECE]; HEIGHT],
    scales: [[f32; GROUPS]; HEIGHT],
    minima: [[f32; GROUPS]; HEIGHT],
}

impl Unpacked {
    fn zeros() -> Self {
        Self { quants: [[0; PIECE]; HEIGHT], scales: [[0.0; GROUPS]; HEIGHT], minima: [[0.0; GROUPS]; HEIGHT] }
    }

    /// The blocks of a row, which are of this grouping.
    #[inline(always)]
    fn fill<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>(
        &mut self,
        row: usize,
        blocks: &[u8],
        grouping: Grouping,
    ) {
        // Each kernel is compiled for its own formats only.
        if grouping != const { Grouping::of::<LEN, GROUPS, B>() } {
            return;
        }
        let blocks: &[B] = bytemuck::cast_slice(blocks);
        let quants = self.quants[row].as_chunks_mut::<LEN>().0.iter_mut();
        let scales = self.scales[row].as_chunks_mut::<GROUPS>().0.iter_mut();
        let minima = self.minima[row].as_chunks_mut::<GROUPS>().0.iter_mut();
        for (block, ((quants, scales), minima)) in blocks.iter().zip(quants.zip(scales).zip(minima)) {
            for (to, quant) in quants.iter_mut().zip(block.quants()) {
                *to = if B::MINS { quant as u8 } else { quant as u8 ^ OFFSET };
            }
            *scales = block.scales();
            if B::MINS {
                *minima = block.mins();
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Quants<'a>(&'a Unpacked);

impl Rows for Quants<'_> {
    type Stored = pack::Bits<u8>;

    #[inline(always)]
    fn row(&self, row: usize) -> &[u8] {
        &self.0.quants[row]
    }
}

#[derive(Clone, Copy)]
struct Factors<'a>(&'a [[f32; GROUPS]; HEIGHT]);

impl Rows for Factors<'_> {
    type Stored = pack::Bits<f32>;

    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        &self.0[row]
    }
}
