//! Byte dot products in AVX2: products are added in pairs to 16 bits, which saturate, and these in pairs to 32.

use std::arch::x86_64::{__m256, __m256i};

use pulp::{Simd, cast, f32x8, x86::V3};

use super::byte_dots::ByteDots;
use crate::quant::{QuantFormat, UNSIGNED_E2M1};

impl ByteDots for V3 {
    type Simd = V3;
    type Vector = __m256i;
    /// The quants; in 4 bits those of the lower halves and those of the upper ones.
    type Activations = [__m256i; 2];

    fn offset(format: QuantFormat) -> bool {
        format != QuantFormat::Int8
    }

    #[inline(always)]
    fn simd(self) -> V3 {
        self
    }

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        Simd::vectorize(self, f);
    }

    #[inline(always)]
    fn load(self, quants: &[u8]) -> __m256i {
        match <&[u8; 32]>::try_from(quants) {
            Ok(quants) => cast(*quants),
            Err(_) => {
                let mut all = [0_u8; 32];
                all[..quants.len()].copy_from_slice(quants);
                cast(all)
            }
        }
    }

    #[inline(always)]
    fn activations(self, format: QuantFormat, quants: &[i8]) -> [__m256i; 2] {
        let vector = |i: usize| -> __m256i {
            let quants: [i8; 32] = *quants[i * 32..].first_chunk().unwrap_or(&[0; 32]);
            cast(quants)
        };
        match format {
            QuantFormat::Int8 => [vector(0); 2],
            QuantFormat::Int4 | QuantFormat::Mxfp4 => [vector(0), vector(1)],
        }
    }

    /// Nothing saturates. In 8 bits the magnitudes of quants, up to 128, are multiplied with activations that took their
    /// signs: two products are at most 2 * 128 * 127. In 4 bits four are at most 4 * 24 * 127.
    #[inline(always)]
    fn times(self, format: QuantFormat, quants: __m256i, [first, second]: [__m256i; 2]) -> f32x8 {
        let i = self.avx2;
        let pairs = match format {
            QuantFormat::Int8 => {
                let quants = i._mm256_xor_si256(quants, cast([0x80_u8; 32]));
                i._mm256_maddubs_epi16(i._mm256_abs_epi8(quants), i._mm256_sign_epi8(first, quants))
            }
            QuantFormat::Int4 | QuantFormat::Mxfp4 => {
                let half = cast([0xf_u8; 32]);
                let mut lower = i._mm256_and_si256(quants, half);
                let mut upper = i._mm256_and_si256(i._mm256_srli_epi16::<4>(quants), half);
                if format == QuantFormat::Mxfp4 {
                    let table = cast([UNSIGNED_E2M1; 2]);
                    let look_up = |bits| i._mm256_shuffle_epi8(table, bits);
                    (lower, upper) = (look_up(lower), look_up(upper));
                }
                i._mm256_add_epi16(i._mm256_maddubs_epi16(lower, first), i._mm256_maddubs_epi16(upper, second))
            }
        };
        let fours = i._mm256_madd_epi16(pairs, cast([1_i16; 16]));
        cast(self.avx._mm256_cvtepi32_ps(fours))
    }

    #[inline(always)]
    fn spread(self, format: QuantFormat, scales: f32x8, vector: usize) -> f32x8 {
        let (first, second) = match format {
            QuantFormat::Int8 => (vector as i32, vector as i32),
            QuantFormat::Int4 | QuantFormat::Mxfp4 => (2 * vector as i32, 2 * vector as i32 + 1),
        };
        let lanes = [first, first, first, first, second, second, second, second];
        cast(self.avx2._mm256_permutevar8x32_ps(cast(scales), cast(lanes)))
    }

    #[inline(always)]
    fn zero_points(self, words: &[i32]) -> f32x8 {
        let i = self.avx2;
        let shifted = i._mm256_srlv_epi32(cast([words[0]; 8]), cast([0, 4, 8, 12, 16, 20, 24, 28]));
        cast(self.avx._mm256_cvtepi32_ps(i._mm256_and_si256(shifted, cast([0xf_i32; 8]))))
    }

    #[inline(always)]
    fn sums(self, sums: [f32x8; 4]) -> [f32; 4] {
        let f = self.avx;
        let [a, b, c, d]: [__m256; 4] = cast(sums);
        let ab = f._mm256_hadd_ps(a, b);
        let cd = f._mm256_hadd_ps(c, d);
        let [low, high]: [pulp::f32x4; 2] = cast(f._mm256_hadd_ps(ab, cd));
        cast(self.sse._mm_add_ps(cast(low), cast(high)))
    }
}
