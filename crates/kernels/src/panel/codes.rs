//! Panels of weights in 8 or 4 bits: a step is a block of columns, multiplied as integers, exactly, and then as often as its
//! scales say.

use std::{
    arch::x86_64::{__m512i, _mm512_dpbusd_epi32},
    ops::Range,
};

use half::f16;
use pulp::{Simd, cast, f32x16, x86::V4};

use super::{
    Scheme, VECTORS,
    ahead::Ahead,
    pack::{Matrix, Plain, Rows, Single, Stored, pack},
};
use crate::{
    codes::{BLOCK, Bits, Codes, blocks, words},
    lanes::Lanes,
    quantized::Activations,
};

/// Units of a block's codes.
const CODES: usize = BLOCK / 4;

/// AVX-512 with VNNI: one instruction multiplies 64 unsigned bytes with signed ones and adds each four products up.
#[derive(Clone, Copy, Debug)]
pub struct ByteDots(V4);

impl ByteDots {
    pub fn try_new() -> Option<Self> {
        let simd = V4::try_new()?;
        std::arch::is_x86_feature_detected!("avx512vnni").then_some(Self(simd))
    }

    #[inline(always)]
    fn vectorize(self, f: impl FnOnce()) {
        #[target_feature(
            enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,bmi1,bmi2,lzcnt,popcnt,fxsr"
        )]
        fn run(f: impl FnOnce()) {
            f();
        }
        // SAFETY: `self` is proof of these instructions.
        unsafe { run(f) }
    }

    #[inline(always)]
    fn dot(self, sum: __m512i, unsigned: f32x16, signed: f32x16) -> __m512i {
        // SAFETY: `self` is proof of these instructions.
        unsafe { _mm512_dpbusd_epi32(sum, cast(unsigned), cast(signed)) }
    }
}

/// Vectors in 8 bits with weights in 8 or 4.
#[derive(Clone, Copy)]
pub struct Quantized<'a> {
    dots: ByteDots,
    x: &'a Activations,
    vectors: usize,
    columns: usize,
}

impl<'a> Quantized<'a> {
    /// `x` `[vectors, columns]`, in its plain order.
    pub fn new(dots: ByteDots, x: &'a Activations, vectors: usize, columns: usize) -> Self {
        Self {
            dots,
            x,
            vectors,
            columns,
        }
    }
}

impl<'a> Scheme for Quantized<'a> {
    type Simd = V4;
    type Weight = Codes<'a>;

    // Of 32 registers 12 are for the sums and 12 for the integers of a block.
    const TOGETHER: usize = 6;
    /// Codes and their scale ...
    const ROW_UNITS: usize = CODES + 1;
    /// ... and what the offset of the weight's codes makes of them, below zero.
    const VECTOR_UNITS: usize = CODES + 2;

    #[inline(always)]
    fn simd(&self) -> V4 {
        self.dots.0
    }

    #[inline(always)]
    fn vectorize(&self, f: impl FnOnce()) {
        self.dots.vectorize(f);
    }

    fn vectors(&self) -> usize {
        self.vectors
    }

    fn rows(&self, weight: &Codes<'a>) -> usize {
        weight.rows()
    }

    fn steps(&self) -> usize {
        blocks(self.columns)
    }

    #[inline(always)]
    fn pack_vectors(
        &self,
        vectors: Range<usize>,
        width: usize,
        steps: Range<usize>,
        packed: &mut [f32],
    ) {
        let (codes, rest) = packed.split_at_mut(CODES * steps.len() * width);
        let (scales, offsets) = rest.split_at_mut(steps.len() * width);
        let (simd, units) = (self.dots.0, units(&steps));
        pack(
            simd,
            VectorCodes(self.x),
            vectors.clone(),
            width,
            units,
            codes,
        );
        pack(simd, VectorScales(self.x), vectors, width, steps, scales);
        let blocks = codes.chunks_exact(CODES * width);
        for (codes, offsets) in blocks.zip(offsets.chunks_exact_mut(width)) {
            let weight = simd.transmute_f32s_u32s(simd.splat_u32s(OFFSETS));
            let mut sum = cast(simd.splat_f32s(0.0));
            for codes in codes.chunks_exact(width) {
                sum = self.dots.dot(sum, weight, simd.partial_load_f32s(codes));
            }
            let sum = simd.sub_i32s(simd.splat_i32s(0), cast(sum));
            simd.partial_store_f32s(offsets, cast(sum));
        }
    }

    #[inline(always)]
    fn pack_rows(
        &self,
        weight: &Codes<'a>,
        rows: Range<usize>,
        steps: Range<usize>,
        packed: &mut [f32],
    ) {
        const WIDTH: usize = VECTORS * 16;
        let (codes, scales) = packed.split_at_mut(CODES * steps.len() * WIDTH);
        let (simd, units) = (self.dots.0, units(&steps));
        let bytes: &[u8] = bytemuck::cast_slice(weight.codes);
        let row = blocks(weight.columns) * weight.bits.block_bytes();
        match weight.bits {
            Bits::Eight => {
                let matrix = Matrix::<Plain<u8>>::new(bytes, row);
                pack(simd, matrix, rows.clone(), WIDTH, units, codes);
            }
            Bits::Four => {
                let matrix = Matrix::<Nibbles>::new(bytes, row);
                pack(simd, matrix, rows.clone(), WIDTH, units, codes);
            }
        }
        let matrix = Matrix::<Single<f16>>::new(weight.scales, blocks(weight.columns));
        pack(simd, matrix, rows, WIDTH, steps, scales);
    }

    /// Codes alone: scales are few.
    fn stored<'b>(&'b self, weight: &'b Codes<'a>, rows: Range<usize>) -> &'b [u8] {
        let words = words(weight.columns, weight.bits);
        bytemuck::cast_slice(&weight.codes[rows.start * words..rows.end * words])
    }

    #[inline(always)]
    fn add<const N: usize>(
        &self,
        w: &[[f32x16; VECTORS]],
        x: &[[f32; N]],
        mut sums: [[f32x16; VECTORS]; N],
        mut ahead: Ahead<'_>,
    ) -> [[f32x16; VECTORS]; N] {
        let simd = self.dots.0;
        let steps = w.len() / Self::ROW_UNITS;
        let (w, w_scales) = w.split_at(CODES * steps);
        let (x, rest) = x.split_at(CODES * steps);
        let (x_scales, offsets) = rest.split_at(steps);
        let codes = w
            .as_chunks::<CODES>()
            .0
            .iter()
            .zip(x.as_chunks::<CODES>().0);
        let scales = w_scales.iter().zip(x_scales).zip(offsets);
        for ((w, x), ((w_scales, x_scales), offsets)) in codes.zip(scales) {
            let mut dots = [[cast(simd.splat_f32s(0.0)); VECTORS]; N];
            for (dots, offset) in dots.iter_mut().zip(offsets) {
                *dots = [cast(simd.splat_f32s(*offset)); VECTORS];
            }
            for (w, x) in w.iter().zip(x) {
                ahead.turn();
                for (dots, x) in dots.iter_mut().zip(x) {
                    let x = simd.splat_f32s(*x);
                    for (dot, w) in dots.iter_mut().zip(w) {
                        *dot = self.dots.dot(*dot, *w, x);
                    }
                }
            }
            ahead.turn();
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

/// What has been added to the four codes of a unit.
const OFFSETS: u32 = repeated(Bits::Eight.offset());

/// A byte four times.
const fn repeated(byte: i32) -> u32 {
    u32::from_ne_bytes([byte as u8; 4])
}

/// Two 4-bit codes in a byte, the first in its lower half. In their units they are 8-bit ones of the same value.
#[derive(Clone, Copy)]
struct Nibbles;

impl Stored for Nibbles {
    type Number = u8;
    type Packed<S: Lanes> = S::Halves;
    const PER_UNIT: usize = 2;

    #[inline(always)]
    fn bytes(numbers: &[u8]) -> &[u8] {
        numbers
    }

    #[inline(always)]
    fn units<S: Lanes>(simd: S, packed: S::Halves) -> S::f32s {
        // The four codes are in the upper half of what would be a float32 by now; each has a byte to go to.
        let upper = simd.transmute_u32s_f32s(simd.widen_bf16(packed));
        let mut units = simd.splat_u32s(OFFSETS - repeated(Bits::Four.offset()));
        for (byte, shift) in [16, 12, 8, 4].into_iter().enumerate() {
            let shifted = simd.wrapping_dyn_shr_u32s(upper, simd.splat_u32s(shift));
            let code = simd.and_u32s(shifted, simd.splat_u32s(0xf << (8 * byte)));
            units = simd.add_u32s(units, code);
        }
        simd.transmute_f32s_u32s(units)
    }
}

/// Those of blocks.
fn units(steps: &Range<usize>) -> Range<usize> {
    CODES * steps.start..CODES * steps.end
}

#[derive(Clone, Copy)]
struct VectorCodes<'a>(&'a Activations);

impl Rows for VectorCodes<'_> {
    type Stored = Plain<i8>;

    #[inline(always)]
    fn row(&self, row: usize) -> &[i8] {
        self.0.vector(row).codes
    }
}

#[derive(Clone, Copy)]
struct VectorScales<'a>(&'a Activations);

impl Rows for VectorScales<'_> {
    type Stored = Plain<f32>;

    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        self.0.vector(row).scales
    }
}
