//! AVX-512 with VNNI: one instruction multiplies 64 unsigned bytes with signed ones and adds each four products up.

use std::arch::x86_64::{__m512, __m512i, _mm512_dpbusd_epi32, _mm512_maskz_loadu_epi8};

use half::{f16, slice::HalfFloatSliceExt};
use pulp::{Simd, cast, f32x16, x86::V4};

use super::bytes::Bytes;
use crate::codes::Bits;

/// Proof that this machine has these instructions.
#[derive(Clone, Copy, Debug)]
pub struct Vnni(V4);

impl Vnni {
    pub(super) fn try_new() -> Option<Self> {
        let simd = V4::try_new()?;
        std::arch::is_x86_feature_detected!("avx512vnni").then_some(Self(simd))
    }

    #[inline(always)]
    fn dot(self, sum: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
        // SAFETY: `self` is proof of these instructions.
        unsafe { _mm512_dpbusd_epi32(sum, unsigned, signed) }
    }

    #[inline(always)]
    fn bytes(self, value: u8) -> __m512i {
        cast([value; 64])
    }
}

impl Bytes for Vnni {
    type Simd = V4;
    type Vector = __m512i;
    /// The codes; of 4 bits those in lower halves and those in upper ones.
    type Activations = [__m512i; 2];

    fn offset(_: Bits) -> bool {
        true
    }

    #[inline(always)]
    fn simd(self) -> V4 {
        self.0
    }

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        #[target_feature(
            enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni,bmi1,bmi2,lzcnt,popcnt,fxsr"
        )]
        unsafe fn run<F: FnOnce()>(f: F) {
            f();
        }
        // SAFETY: `self` is proof of these instructions.
        unsafe { run(f) }
    }

    #[inline(always)]
    fn load(self, codes: &[u8]) -> __m512i {
        match <&[u8; 64]>::try_from(codes) {
            Ok(codes) => cast(*codes),
            Err(_) => {
                assert!(codes.len() < 64);
                let mask = (1 << codes.len()) - 1;
                // SAFETY: `self` is proof of these instructions, and only as many bytes are read as there are.
                unsafe { _mm512_maskz_loadu_epi8(mask, codes.as_ptr().cast()) }
            }
        }
    }

    #[inline(always)]
    fn activations(self, bits: Bits, codes: &[i8]) -> [__m512i; 2] {
        let vector = |i: usize| -> __m512i {
            let codes: [i8; 64] = *codes[i * 64..].first_chunk().unwrap_or(&[0; 64]);
            cast(codes)
        };
        match bits {
            Bits::Eight => [vector(0), self.bytes(0)],
            Bits::Four => [vector(0), vector(1)],
        }
    }

    #[inline(always)]
    fn times(self, bits: Bits, codes: __m512i, [first, second]: [__m512i; 2]) -> f32x16 {
        let f = self.0.avx512f;
        let zero = self.bytes(0);
        let sum = match bits {
            Bits::Eight => self.dot(zero, codes, first),
            Bits::Four => {
                let half = self.bytes(0xf);
                let lower = f._mm512_and_si512(codes, half);
                let upper = f._mm512_and_si512(f._mm512_srli_epi32::<4>(codes), half);
                self.dot(self.dot(zero, lower, first), upper, second)
            }
        };
        cast(f._mm512_cvtepi32_ps(sum))
    }

    #[inline(always)]
    fn spread(self, bits: Bits, scales: f32x16, vector: usize) -> f32x16 {
        const EIGHT: [[u32; 16]; 8] = lanes(2);
        const FOUR: [[u32; 16]; 4] = lanes(4);
        let lanes = match bits {
            Bits::Eight => EIGHT[vector],
            Bits::Four => FOUR[vector],
        };
        let permuted = self
            .0
            .avx512f
            ._mm512_permutexvar_ps(cast(lanes), cast(scales));
        cast(permuted)
    }

    #[inline(always)]
    fn sums(self, sums: [f32x16; 4]) -> [f32; 4] {
        let f = self.0.avx512f;
        let [a, b, c, d]: [__m512; 4] = cast(sums);
        let add = |a, b| f._mm512_add_ps(a, b);
        let ab = add(f._mm512_unpacklo_ps(a, b), f._mm512_unpackhi_ps(a, b));
        let cd = add(f._mm512_unpacklo_ps(c, d), f._mm512_unpackhi_ps(c, d));
        let (ab, cd) = (f._mm512_castps_pd(ab), f._mm512_castps_pd(cd));
        let abcd = add(
            f._mm512_castpd_ps(f._mm512_unpacklo_pd(ab, cd)),
            f._mm512_castpd_ps(f._mm512_unpackhi_pd(ab, cd)),
        );
        let [low, high]: [pulp::f32x8; 2] = cast(abcd);
        let [low, high]: [pulp::f32x4; 2] = cast((*self.0).add_f32s(low, high));
        let sum = self.0.sse._mm_add_ps(cast(low), cast(high));
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
        cast(self.0.avx512f._mm512_cvtph_ps(halves))
    }
}

/// For each vector of so many blocks which of a span's blocks each lane belongs to.
const fn lanes<const VECTORS: usize>(blocks: usize) -> [[u32; 16]; VECTORS] {
    let mut lanes = [[0; 16]; VECTORS];
    let mut at = 0;
    while at < 16 * VECTORS {
        lanes[at / 16][at % 16] = (at * blocks / 16) as u32;
        at += 1;
    }
    lanes
}
