//! Panels of quantized weights: a step is a group of columns, whose product is an exact integer and is then scaled.

use std::{arch::x86_64::__m512i, ops::Range};

use half::f16;
use pulp::{Simd, cast, f32x16, x86::V4};

use super::{
    MR, MicroKernel,
    pack::{self, RowMajor, Rows, Stored, Widened, pack},
};
use crate::{
    gemv::activations::Activations,
    isa::Vnni,
    prefetch::Prefetcher,
    quant::{GROUP_SIZE, QuantFormat, QuantizedMatrix, groups, words, zero_point},
    simd_ext::SimdExt,
};

/// Units of a group's quants.
pub(super) const QUANTS: usize = GROUP_SIZE / 4;

/// Rows of a tile.
pub(super) const HEIGHT: usize = MR * 16;

/// Vectors in 8 bits, and weights in 8 or 4.
#[derive(Clone, Copy)]
pub struct Quantized<'a> {
    isa: Vnni,
    x: &'a Activations,
    vectors: usize,
    columns: usize,
}

impl<'a> Quantized<'a> {
    /// `x` `[vectors, columns]`, in plain order.
    pub fn new(isa: Vnni, x: &'a Activations, vectors: usize, columns: usize) -> Self {
        Self { isa, x, vectors, columns }
    }

    /// Makes of stored 4-bit quants of `rows` 8-bit quants of the same value: the zero point of a group becomes that of all.
    #[inline(always)]
    fn shift(
        &self,
        weight: &QuantizedMatrix<'_>,
        rows: Range<usize>,
        steps: Range<usize>,
        quants: &mut [[f32; HEIGHT]],
    ) {
        let simd = self.isa.simd();
        let mut words: [&[i32]; HEIGHT] = [&[]; HEIGHT];
        for (words, row) in words.iter_mut().zip(rows.clone()) {
            *words = weight.row(row).zero_points;
        }
        for (step, quants) in steps.zip(quants.as_chunks_mut::<QUANTS>().0) {
            let mut shifts = [0; HEIGHT];
            for (shift, words) in shifts.iter_mut().zip(words).take(rows.len()) {
                *shift = repeated(QuantFormat::Int8.offset() - zero_point(words, step));
            }
            let shifts: [f32x16; MR] = cast(shifts);
            for rows in quants {
                let rows: &mut [f32x16; MR] = bytemuck::cast_mut(rows);
                for (quants, shift) in rows.iter_mut().zip(shifts) {
                    // No byte carries: quants are at most 15, shifts from 113 to 128.
                    *quants = cast(simd.add_u32s(cast(*quants), cast(shift)));
                }
            }
        }
    }

    #[inline(always)]
    fn dot(&self, sum: __m512i, unsigned: f32x16, signed: f32x16) -> __m512i {
        self.isa.dot(sum, cast(unsigned), cast(signed))
    }
}

impl<'a> MicroKernel for Quantized<'a> {
    type Simd = V4;
    type Weight = QuantizedMatrix<'a>;

    // 12 of 32 registers hold the sums, 12 the integer sums of a group.
    const NR: usize = 6;
    /// Quants and their scale ...
    const ROW_UNITS: usize = QUANTS + 1;
    /// ... and, negated, what the offset of the weight's quants adds to a product.
    const VECTOR_UNITS: usize = QUANTS + 2;

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

    fn rows(&self, weight: &QuantizedMatrix<'a>) -> usize {
        weight.rows()
    }

    fn steps(&self) -> usize {
        groups(self.columns)
    }

    #[inline(always)]
    fn pack_vectors(&self, vectors: Range<usize>, width: usize, steps: Range<usize>, packed: &mut [f32]) {
        let (quants, rest) = packed.split_at_mut(QUANTS * steps.len() * width);
        let (scales, offsets) = rest.split_at_mut(steps.len() * width);
        let (simd, units) = (self.isa.simd(), units(&steps));
        pack(simd, VectorQuants(self.x), vectors.clone(), width, units, quants);
        pack(simd, VectorScales(self.x), vectors, width, steps, scales);
        let groups = quants.chunks_exact(QUANTS * width);
        for (quants, offsets) in groups.zip(offsets.chunks_exact_mut(width)) {
            let weight = simd.transmute_f32s_u32s(simd.splat_u32s(OFFSETS));
            let mut sum = cast(simd.splat_f32s(0.0));
            for quants in quants.chunks_exact(width) {
                sum = self.dot(sum, weight, simd.partial_load_f32s(quants));
            }
            let sum = simd.sub_i32s(simd.splat_i32s(0), cast(sum));
            simd.partial_store_f32s(offsets, cast(sum));
        }
    }

    #[inline(always)]
    fn pack_rows(&self, weight: &QuantizedMatrix<'a>, rows: Range<usize>, steps: Range<usize>, packed: &mut [f32]) {
        let (quants, scales) = packed.split_at_mut(QUANTS * steps.len() * HEIGHT);
        let (simd, units) = (self.isa.simd(), units(&steps));
        let bytes: &[u8] = bytemuck::cast_slice(weight.quants);
        let row = groups(weight.columns) * weight.format.group_bytes();
        match weight.format {
            QuantFormat::Int8 => {
                let matrix = RowMajor::<pack::Bits<u8>>::new(bytes, row);
                pack(simd, matrix, rows.clone(), HEIGHT, units, quants);
            }
            QuantFormat::Int4 => {
                let matrix = RowMajor::<Nibbles>::new(bytes, row);
                pack(simd, matrix, rows.clone(), HEIGHT, units, quants);
                self.shift(weight, rows.clone(), steps.clone(), quants.as_chunks_mut::<HEIGHT>().0);
            }
            QuantFormat::Mxfp4 => {
                let matrix = RowMajor::<Floats>::new(bytes, row);
                pack(simd, matrix, rows.clone(), HEIGHT, units, quants);
            }
        }
        let matrix = RowMajor::<Widened<f16>>::new(weight.scales, groups(weight.columns));
        pack(simd, matrix, rows, HEIGHT, steps, scales);
    }

    /// Quants alone: scales are few.
    fn stored<'b>(&'b self, weight: &'b QuantizedMatrix<'a>, rows: Range<usize>) -> &'b [u8] {
        let words = words(weight.columns, weight.format);
        bytemuck::cast_slice(&weight.quants[rows.start * words..rows.end * words])
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
        let (w, w_scales) = w.split_at(QUANTS * steps);
        let (x, rest) = x.split_at(QUANTS * steps);
        let (x_scales, offsets) = rest.split_at(steps);
        let quants = w.as_chunks::<QUANTS>().0.iter().zip(x.as_chunks::<QUANTS>().0);
        let scales = w_scales.iter().zip(x_scales).zip(offsets);
        for ((w, x), ((w_scales, x_scales), offsets)) in quants.zip(scales) {
            let mut dots = [[cast(simd.splat_f32s(0.0)); MR]; N];
            for (dots, offset) in dots.iter_mut().zip(offsets) {
                *dots = [cast(simd.splat_f32s(*offset)); MR];
            }
            for (w, x) in w.iter().zip(x) {
                prefetcher.step();
                for (dots, x) in dots.iter_mut().zip(x) {
                    let x = simd.splat_f32s(*x);
                    for (dot, w) in dots.iter_mut().zip(w) {
                        *dot = self.dot(*dot, *w, x);
                    }
                }
            }
            prefetcher.step();
            for ((sums, dots), x) in sums.iter_mut().zip(&dots).zip(x_scales) {
                let x = simd.splat_f32s(*x);
                for ((sum, dot), w) in sums.iter_mut().zip(dots).zip(w_scales) {
                    let dot = cast(simd.avx512f._mm512_cvtepi32_ps(*dot));
                    *sum = simd.mul_add_e_f32s(dot, simd.mul_f32s(*w, x), *sum);
                }
            }
        }
        sums
    }
}

/// The offset of the four quants of a unit.
const OFFSETS: u32 = repeated(QuantFormat::Int8.offset());

/// A byte four times.
pub(super) const fn repeated(byte: i32) -> u32 {
    u32::from_ne_bytes([byte as u8; 4])
}

/// Two 4-bit quants in a byte, the first in its lower half. Units hold each in a byte of its own.
#[derive(Clone, Copy)]
struct Nibbles;

impl Stored for Nibbles {
    type Number = u8;
    type Packed<S: SimdExt> = S::Halves;
    const PER_UNIT: usize = 2;

    #[inline(always)]
    fn bytes(numbers: &[u8]) -> &[u8] {
        numbers
    }

    #[inline(always)]
    fn units<S: SimdExt>(simd: S, packed: S::Halves) -> S::f32s {
        simd.transmute_f32s_u32s(apart(simd, packed))
    }
}

/// Each 4 bits in a byte of their own.
#[inline(always)]
fn apart<S: SimdExt>(simd: S, packed: S::Halves) -> S::u32s {
    // The four quants lie in the upper half of a 32-bit lane.
    let upper = simd.transmute_u32s_f32s(simd.widen_bf16(packed));
    let mut apart = simd.splat_u32s(0);
    for (byte, shift) in [16, 12, 8, 4].into_iter().enumerate() {
        let shifted = simd.wrapping_dyn_shr_u32s(upper, simd.splat_u32s(shift));
        let quant = simd.and_u32s(shifted, simd.splat_u32s(0xf << (8 * byte)));
        apart = simd.or_u32s(apart, quant);
    }
    apart
}

/// Two numbers e2m1 in a byte, the first in its lower half. Units hold their quants in 8 bits.
#[derive(Clone, Copy)]
struct Floats;

impl Stored for Floats {
    type Number = u8;
    type Packed<S: SimdExt> = S::Halves;
    const PER_UNIT: usize = 2;

    #[inline(always)]
    fn bytes(numbers: &[u8]) -> &[u8] {
        numbers
    }

    #[inline(always)]
    fn units<S: SimdExt>(simd: S, packed: S::Halves) -> S::f32s {
        // Bits s e1 e0 m: four in a register at a time, each in its byte.
        let bits = apart(simd, packed);
        let each = |byte: u8| simd.splat_u32s(repeated(i32::from(byte)));
        let shr = |x, by| simd.wrapping_dyn_shr_u32s(x, simd.splat_u32s(by));
        let shl = |x, by| simd.wrapping_dyn_shl_u32s(x, simd.splat_u32s(by));
        let low = simd.and_u32s(bits, each(7));
        // Up to 3 a quant is its bits; above, it is 4, 6, 8, 12: its bits, its lower two, and 2 more if these are both set.
        let above = simd.and_u32s(shr(bits, 2), each(1));
        let two = simd.and_u32s(low, simd.or_u32s(above, shl(above, 1)));
        let both = simd.and_u32s(simd.and_u32s(two, shr(two, 1)), each(1));
        let magnitude = simd.add_u32s(simd.add_u32s(low, two), shl(both, 1));
        // Twice the magnitude is taken off where the sign is set.
        let sign = simd.and_u32s(shr(bits, 3), each(1));
        let signs = simd.sub_u32s(shl(sign, 8), sign);
        let off = simd.and_u32s(shl(magnitude, 1), signs);
        let units = simd.sub_u32s(simd.add_u32s(each(128), magnitude), off);
        simd.transmute_f32s_u32s(units)
    }
}

/// The units of the quants of some groups.
pub(super) fn units(steps: &Range<usize>) -> Range<usize> {
    QUANTS * steps.start..QUANTS * steps.end
}

#[derive(Clone, Copy)]
pub(super) struct VectorQuants<'a>(pub(super) &'a Activations);

impl Rows for VectorQuants<'_> {
    type Stored = pack::Bits<i8>;

    #[inline(always)]
    fn row(&self, row: usize) -> &[i8] {
        self.0.vector(row).quants
    }
}

#[derive(Clone, Copy)]
pub(super) struct VectorScales<'a>(pub(super) &'a Activations);

impl Rows for VectorScales<'_> {
    type Stored = pack::Bits<f32>;

    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        self.0.vector(row).scales
    }
}
