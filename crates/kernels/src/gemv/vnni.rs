//! AVX-512 with VNNI: one instruction multiplies 64 unsigned bytes with signed ones and adds each four products up.

use std::arch::x86_64::{__m128i, __m512, __m512i, _mm512_maskz_loadu_epi8};

use half::{f16, slice::HalfFloatSliceExt};
use pulp::{Simd, cast, f32x16, x86::V4};

use super::byte_dots::ByteDots;
use crate::{
    isa::Vnni,
    quant::{QuantFormat, UNSIGNED_E2M1},
};

#[inline(always)]
fn splat(value: u8) -> __m512i {
    cast([value; 64])
}

impl ByteDots for Vnni {
    type Simd = V4;
    type Vector = __m512i;
    /// The quants; in 4 bits those of the lower halves and those of the upper ones.
    type Activations = [__m512i; 2];

    fn offset(_: QuantFormat) -> bool {
        true
    }

    #[inline(always)]
    fn simd(self) -> V4 {
        Vnni::simd(self)
    }

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        Vnni::vectorize(self, f);
    }

    #[inline(always)]
    fn load(self, quants: &[u8]) -> __m512i {
        match <&[u8; 64]>::try_from(quants) {
            Ok(quants) => cast(*quants),
            Err(_) => {
                assert!(quants.len() < 64);
                let mask = (1 << quants.len()) - 1;
                // SAFETY: `self` is proof of these instructions, and only as many bytes are read as there are.
                unsafe { _mm512_maskz_loadu_epi8(mask, quants.as_ptr().cast()) }
            }
        }
    }

    #[inline(always)]
    fn activations(self, format: QuantFormat, quants: &[i8]) -> [__m512i; 2] {
        let vector = |i: usize| -> __m512i {
            let quants: [i8; 64] = *quants[i * 64..].first_chunk().unwrap_or(&[0; 64]);
            cast(quants)
        };
        match format {
            QuantFormat::Int8 => [vector(0), splat(0)],
            QuantFormat::Int4 | QuantFormat::Mxfp4 => [vector(0), vector(1)],
        }
    }

    #[inline(always)]
    fn times(self, format: QuantFormat, quants: __m512i, [first, second]: [__m512i; 2]) -> f32x16 {
        let f = self.simd().avx512f;
        let zero = splat(0);
        let sum = match format {
            QuantFormat::Int8 => self.dot(zero, quants, first),
            QuantFormat::Int4 | QuantFormat::Mxfp4 => {
                let half = splat(0xf);
                let mut lower = f._mm512_and_si512(quants, half);
                let mut upper = f._mm512_and_si512(f._mm512_srli_epi32::<4>(quants), half);
                if format == QuantFormat::Mxfp4 {
                    let table: __m128i = cast(UNSIGNED_E2M1);
                    let table = f._mm512_broadcast_i32x4(table);
                    let look_up = |bits| self.simd().avx512bw._mm512_shuffle_epi8(table, bits);
                    (lower, upper) = (look_up(lower), look_up(upper));
                }
                self.dot(self.dot(zero, lower, first), upper, second)
            }
        };
        cast(f._mm512_cvtepi32_ps(sum))
    }

    #[inline(always)]
    fn spread(self, format: QuantFormat, scales: f32x16, vector: usize) -> f32x16 {
        const EIGHT: [[u32; 16]; 8] = lanes(2);
        const FOUR: [[u32; 16]; 4] = lanes(4);
        let lanes = match format {
            QuantFormat::Int8 => EIGHT[vector],
            QuantFormat::Int4 | QuantFormat::Mxfp4 => FOUR[vector],
        };
        let permuted = self.simd().avx512f._mm512_permutexvar_ps(cast(lanes), cast(scales));
        cast(permuted)
    }

    #[inline(always)]
    fn zero_points(self, words: &[i32]) -> f32x16 {
        const SHIFTS: [i32; 16] = [0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28];
        let f = self.simd().avx512f;
        let (first, second) = (words[0], words.get(1).copied().unwrap_or_default());
        let words: [[i32; 8]; 2] = [[first; 8], [second; 8]];
        let shifted = f._mm512_srlv_epi32(cast(words), cast(SHIFTS));
        cast(f._mm512_cvtepi32_ps(f._mm512_and_si512(shifted, cast([0xf_i32; 16]))))
    }

    #[inline(always)]
    fn sums(self, sums: [f32x16; 4]) -> [f32; 4] {
        let f = self.simd().avx512f;
        let [a, b, c, d]: [__m512; 4] = cast(sums);
        let add = |a, b| f._mm512_add_ps(a, b);
        let ab = add(f._mm512_unpacklo_ps(a, b), f._mm512_unpackhi_ps(a, b));
        let cd = add(f._mm512_unpacklo_ps(c, d), f._mm512_unpackhi_ps(c, d));
        let (ab, cd) = (f._mm512_castps_pd(ab), f._mm512_castps_pd(cd));
        let abcd =
            add(f._mm512_castpd_ps(f._mm512_unpacklo_pd(ab, cd)), f._mm512_castpd_ps(f._mm512_unpackhi_pd(ab, cd)));
        let [low, high]: [pulp::f32x8; 2] = cast(abcd);
        let [low, high]: [pulp::f32x4; 2] = cast((*self.simd()).add_f32s(low, high));
        let sum = self.simd().sse._mm_add_ps(cast(low), cast(high));
        cast(sum)
    }

    #[inline(always)]
    fn scales(self, scales: &[f16]) -> f32x16 {
        use std::arch::x86_64::_mm256_maskz_loadu_epi16;
        let halves = match <&[u16; 16]>::try_from(scales.reinterpret_cast()) {
            Ok(scales) => cast(*scales),
            Err(_) => {
                assert!(scales.len() < 16);
                let mask = (1 << scales.len()) - 1;
                // SAFETY: `self` is proof of these instructions, and only as many numbers are read as there are.
                unsafe { _mm256_maskz_loadu_epi16(mask, scales.as_ptr().cast()) }
            }
        };
        cast(self.simd().avx512f._mm512_cvtph_ps(halves))
    }
}

/// For each vector of `groups` groups, which of the 16 groups of its scales each lane belongs to.
const fn lanes<const VECTORS: usize>(groups: usize) -> [[u32; 16]; VECTORS] {
    let mut lanes = [[0; 16]; VECTORS];
    let mut at = 0;
    while at < 16 * VECTORS {
        lanes[at / 16][at % 16] = (at * groups / 16) as u32;
        at += 1;
    }
    lanes
}
