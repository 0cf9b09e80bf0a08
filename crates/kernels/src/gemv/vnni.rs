//! AVX-512 with VNNI: one instruction multiplies 64 unsigned bytes with signed ones and adds each four products up.

use std::arch::x86_64::{__m128, __m128i, __m256, __m256i, __m512, __m512i};

use pulp::cast;

use super::bytes::{Bytes, SPAN};
use crate::isa::Vnni;

#[inline(always)]
fn splat(value: u8) -> __m512i {
    cast([value; 64])
}

impl Bytes for Vnni {
    type Quants = __m512i;
    type Floats = __m512;
    type Factors = __m512;

    const GROUPS: usize = 2;
    const TILE: usize = 8;
    const OFFSET: f32 = 128.0;

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        Vnni::vectorize(self, f);
    }

    #[inline(always)]
    fn load<'a>(self, group: impl Fn(usize) -> &'a [u8; 32]) -> __m512i {
        let [first, second]: [__m256i; 2] = [cast(*group(0)), cast(*group(1))];
        let f = self.simd().avx512f;
        f._mm512_inserti64x4::<1>(f._mm512_castsi256_si512(first), second)
    }

    #[inline(always)]
    fn nibbles<'a>(self, group: impl Fn(usize) -> &'a [u8; 16]) -> __m512i {
        let [first, second]: [__m128i; 2] = [cast(*group(0)), cast(*group(1))];
        let f = self.simd().avx512f;
        let bytes = f._mm512_mask_broadcast_i32x4(f._mm512_broadcast_i32x4(first), 0xff00, second);
        f._mm512_and_si512(f._mm512_srlv_epi64(bytes, cast([0_u64, 0, 4, 4, 0, 0, 4, 4])), splat(0xf))
    }

    #[inline(always)]
    fn field(self, bytes: __m512i, right: impl Fn(usize) -> i32, mask: u8) -> __m512i {
        let f = self.simd().avx512f;
        let by: __m512i = cast([[right(0); 8], [right(1); 8]]);
        let moved = if right(0) == 0 && right(1) == 0 { bytes } else { f._mm512_rorv_epi32(bytes, by) };
        f._mm512_and_si512(moved, splat(mask))
    }

    #[inline(always)]
    fn bits(self, group: impl Fn(usize) -> u32, value: u8) -> __m512i {
        let set = u64::from(group(0)) | u64::from(group(1)) << 32;
        self.simd().avx512bw._mm512_maskz_mov_epi8(set, splat(value))
    }

    #[inline(always)]
    fn or(self, a: __m512i, b: __m512i) -> __m512i {
        self.simd().avx512f._mm512_or_si512(a, b)
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: __m512i) -> __m512i {
        let table: __m512i = cast([table.map(|value| value as u8 ^ 0x80); 4]);
        self.simd().avx512bw._mm512_shuffle_epi8(table, bytes)
    }

    #[inline(always)]
    fn signed(self, bytes: __m512i) -> __m512i {
        self.simd().avx512f._mm512_xor_si512(bytes, splat(0x80))
    }

    #[inline(always)]
    fn signed_from_offset(self, bytes: __m512i) -> __m512i {
        bytes
    }

    #[inline(always)]
    fn dot<const SIGNED: bool>(self, quants: __m512i, x: &[i8; SPAN * 32], register: usize) -> __m512 {
        let x = cast(x.as_chunks::<64>().0[register]);
        self.simd().avx512f._mm512_cvtepi32_ps(Vnni::dot(self, splat(0), quants, x))
    }

    #[inline(always)]
    fn half(self, bits: u16) -> __m512 {
        self.simd().avx512f._mm512_cvtph_ps(cast([bits; 16]))
    }

    #[inline(always)]
    fn half_powers(self, exponents: [u8; SPAN]) -> __m512 {
        let f = self.simd().avx512f;
        let exponents = f._mm512_cvtepi32_ps(f._mm512_cvtepu8_epi32(cast([exponents, [0; SPAN]])));
        let half = f._mm512_sub_ps(exponents, cast([128_f32; 16]));
        f._mm512_maskz_scalef_ps(0xff, cast([1_f32; 16]), half)
    }

    #[inline(always)]
    fn halves(self, bits: [u16; SPAN]) -> __m512 {
        let all: __m256i = cast([bits, [0; SPAN]]);
        self.simd().avx512f._mm512_cvtph_ps(all)
    }

    #[inline(always)]
    fn floats(self, values: &[f32; SPAN]) -> __m512 {
        let values: __m256 = cast(*values);
        self.simd().avx512f._mm512_zextps256_ps512(values)
    }

    #[inline(always)]
    fn floats16(self, values: &[f32; 2 * SPAN]) -> __m512 {
        cast(*values)
    }

    #[inline(always)]
    fn twice(self, values: &[f32; SPAN]) -> __m512 {
        const TWICE: [u32; 16] = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7];
        self.simd().avx512f._mm512_permutexvar_ps(cast(TWICE), Bytes::floats(self, values))
    }

    #[inline(always)]
    fn integers(self, values: [i8; 2 * SPAN]) -> __m512 {
        let f = self.simd().avx512f;
        f._mm512_cvtepi32_ps(f._mm512_cvtepi8_epi32(cast(values)))
    }

    #[inline(always)]
    fn integers_of_4_bits(self, word: u32) -> __m512 {
        // A word moved by all its bits is zero.
        const BY: [u32; 16] = [0, 4, 8, 12, 16, 20, 24, 28, 32, 32, 32, 32, 32, 32, 32, 32];
        let f = self.simd().avx512f;
        let moved = f._mm512_srlv_epi32(cast([word; 16]), cast(BY));
        f._mm512_cvtepi32_ps(f._mm512_and_si512(moved, cast([0xf_u32; 16])))
    }

    #[inline(always)]
    fn times(self, a: __m512, b: __m512) -> __m512 {
        self.simd().avx512f._mm512_mul_ps(a, b)
    }

    #[inline(always)]
    fn scaled(self, factors: __m512, by: f32) -> __m512 {
        self.times(factors, cast([by; 16]))
    }

    #[inline(always)]
    fn spread<const SIZE: usize>(self, factors: __m512, register: usize) -> __m512 {
        let mut lanes = [0_u32; 16];
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = (64 * register / SIZE + 4 * i / SIZE) as u32;
        }
        self.simd().avx512f._mm512_permutexvar_ps(cast(lanes), factors)
    }

    #[inline(always)]
    fn zero(self) -> __m512 {
        cast([0_f32; 16])
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        self.simd().avx512f._mm512_fmadd_ps(a, b, sum)
    }

    #[inline(always)]
    fn add_factors<const SIZE: usize>(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        self.multiply_add(a, b, sum)
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        self.simd().avx512f._mm512_add_ps(a, b)
    }

    #[inline(always)]
    fn reduce(self, [a, b, c, d]: [__m512; 4]) -> [f32; 4] {
        let f = self.simd().avx512f;
        let add = |a, b| f._mm512_add_ps(a, b);
        let ab = add(f._mm512_unpacklo_ps(a, b), f._mm512_unpackhi_ps(a, b));
        let cd = add(f._mm512_unpacklo_ps(c, d), f._mm512_unpackhi_ps(c, d));
        let (ab, cd) = (f._mm512_castps_pd(ab), f._mm512_castps_pd(cd));
        let [low, high] = [f._mm512_unpacklo_pd(ab, cd), f._mm512_unpackhi_pd(ab, cd)];
        let [low, high]: [__m256; 2] = cast(add(f._mm512_castpd_ps(low), f._mm512_castpd_ps(high)));
        let [low, high]: [__m128; 2] = cast(self.simd().avx._mm256_add_ps(low, high));
        cast(self.simd().sse._mm_add_ps(low, high))
    }
}
