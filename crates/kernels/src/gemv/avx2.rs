//! Byte dot products in AVX2: products are added in pairs to 16 bits, which saturate, and these in pairs to 32.

use std::arch::x86_64::{__m128, __m128i, __m256, __m256i};

use pulp::{Simd, cast, x86::V3};

use super::bytes::{Bytes, SPAN};
use crate::simd_ext::SimdExt;

#[inline(always)]
fn splat(value: u8) -> __m256i {
    cast([value; 32])
}

impl Bytes for V3 {
    type Quants = __m256i;
    type Floats = __m256;
    type Factors = [__m256; 2];

    const GROUPS: usize = 1;
    const TILE: usize = 4;

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        Simd::vectorize(self, f);
    }

    #[inline(always)]
    fn load<'a>(self, group: impl Fn(usize) -> &'a [u8; 32]) -> __m256i {
        cast(*group(0))
    }

    #[inline(always)]
    fn nibbles<'a>(self, group: impl Fn(usize) -> &'a [u8; 16]) -> __m256i {
        let bytes: __m128i = cast(*group(0));
        let bytes = self.avx2._mm256_broadcastsi128_si256(bytes);
        self.avx2._mm256_and_si256(self.avx2._mm256_srlv_epi64(bytes, cast([0_u64, 0, 4, 4])), splat(0xf))
    }

    #[inline(always)]
    fn field(self, bytes: __m256i, right: impl Fn(usize) -> i32, mask: u8) -> __m256i {
        let i = self.avx2;
        let moved = match right(0) {
            0 => bytes,
            right @ 1.. => i._mm256_srlv_epi32(bytes, cast([right; 8])),
            left => i._mm256_sllv_epi32(bytes, cast([-left; 8])),
        };
        i._mm256_and_si256(moved, splat(mask))
    }

    #[inline(always)]
    fn bits(self, group: impl Fn(usize) -> u32, value: u8) -> __m256i {
        /// Which of the four bytes has a byte's bit.
        const BYTE: [u64; 4] = [0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303];
        /// All bits but that one.
        const OTHERS: u64 = 0x7fbf_dfef_f7fb_fdfe;
        let i = self.avx2;
        let bytes = i._mm256_shuffle_epi8(cast([group(0); 8]), cast(BYTE));
        let set = i._mm256_cmpeq_epi8(i._mm256_or_si256(bytes, cast([OTHERS; 4])), splat(0xff));
        i._mm256_and_si256(set, splat(value))
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_or_si256(a, b)
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: __m256i) -> __m256i {
        self.avx2._mm256_shuffle_epi8(cast([*table; 2]), bytes)
    }

    #[inline(always)]
    fn signed(self, bytes: __m256i) -> __m256i {
        bytes
    }

    #[inline(always)]
    fn signed_from_offset(self, bytes: __m256i) -> __m256i {
        self.avx2._mm256_xor_si256(bytes, splat(0x80))
    }

    /// Nothing saturates: two products are at most 2 * 63 * 127, or 2 * 128 * 127 of the magnitudes of signed quants with
    /// activations that take their signs.
    #[inline(always)]
    fn dot<const SIGNED: bool>(self, quants: __m256i, x: &[i8; SPAN * 32], register: usize) -> __m256 {
        let i = self.avx2;
        let x: __m256i = cast(x.as_chunks::<32>().0[register]);
        let pairs = if SIGNED {
            i._mm256_maddubs_epi16(i._mm256_abs_epi8(quants), i._mm256_sign_epi8(x, quants))
        } else {
            i._mm256_maddubs_epi16(quants, x)
        };
        self.avx._mm256_cvtepi32_ps(i._mm256_madd_epi16(pairs, cast([1_i16; 16])))
    }

    #[inline(always)]
    fn half(self, bits: u16) -> [__m256; 2] {
        [cast(self.widen_f16(cast([bits; 8]))); 2]
    }

    #[inline(always)]
    fn half_powers(self, exponents: [u8; SPAN]) -> [__m256; 2] {
        let i = self.avx2;
        let exponents = i._mm256_cvtepu8_epi32(cast([exponents, [0; SPAN]]));
        let normal = i._mm256_slli_epi32::<23>(i._mm256_sub_epi32(exponents, cast([1_i32; 8])));
        let least = i._mm256_sllv_epi32(cast([1 << 21; 8]), exponents);
        let is_normal = i._mm256_cmpgt_epi32(exponents, cast([1_i32; 8]));
        [cast(i._mm256_blendv_epi8(least, normal, is_normal)), self.zero()]
    }

    #[inline(always)]
    fn halves(self, bits: [u16; SPAN]) -> [__m256; 2] {
        [cast(self.widen_f16(cast(bits))), self.zero()]
    }

    #[inline(always)]
    fn floats(self, values: &[f32; SPAN]) -> [__m256; 2] {
        [cast(*values), self.zero()]
    }

    #[inline(always)]
    fn floats16(self, values: &[f32; 2 * SPAN]) -> [__m256; 2] {
        cast(*values)
    }

    #[inline(always)]
    fn twice(self, values: &[f32; SPAN]) -> [__m256; 2] {
        let lanes = [[0, 0, 1, 1, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6, 7, 7]];
        lanes.map(|lanes: [i32; 8]| self.avx2._mm256_permutevar8x32_ps(cast(*values), cast(lanes)))
    }

    #[inline(always)]
    fn integers(self, values: [i8; 2 * SPAN]) -> [__m256; 2] {
        let [low, high]: [[i8; SPAN]; 2] = cast(values);
        let float = |values: [i8; SPAN]| {
            let all: __m128i = cast([values, [0; SPAN]]);
            self.avx._mm256_cvtepi32_ps(self.avx2._mm256_cvtepi8_epi32(all))
        };
        [float(low), float(high)]
    }

    #[inline(always)]
    fn integers_of_4_bits(self, word: u32) -> [__m256; 2] {
        let i = self.avx2;
        let moved = i._mm256_srlv_epi32(cast([word; 8]), cast([0_u32, 4, 8, 12, 16, 20, 24, 28]));
        [self.avx._mm256_cvtepi32_ps(i._mm256_and_si256(moved, cast([0xf_u32; 8]))), self.zero()]
    }

    #[inline(always)]
    fn times(self, [a, a2]: [__m256; 2], [b, b2]: [__m256; 2]) -> [__m256; 2] {
        [self.avx._mm256_mul_ps(a, b), self.avx._mm256_mul_ps(a2, b2)]
    }

    #[inline(always)]
    fn scaled(self, factors: [__m256; 2], by: f32) -> [__m256; 2] {
        self.times(factors, [cast([by; 8]), cast([by; 8])])
    }

    #[inline(always)]
    fn spread<const SIZE: usize>(self, factors: [__m256; 2], register: usize) -> __m256 {
        let first = 32 * register / SIZE;
        let [low, high] = [first % SPAN, (first + 16 / SIZE) % SPAN].map(|lane| [lane as i32; 4]);
        self.avx2._mm256_permutevar8x32_ps(factors[first / SPAN], cast([low, high]))
    }

    #[inline(always)]
    fn zero(self) -> __m256 {
        cast([0_f32; 8])
    }

    #[inline(always)]
    fn multiply_add(self, a: __m256, b: __m256, sum: __m256) -> __m256 {
        self.fma._mm256_fmadd_ps(a, b, sum)
    }

    #[inline(always)]
    fn add_factors<const SIZE: usize>(self, a: [__m256; 2], b: [__m256; 2], sum: __m256) -> __m256 {
        let sum = Bytes::multiply_add(self, a[0], b[0], sum);
        if SIZE == 16 { Bytes::multiply_add(self, a[1], b[1], sum) } else { sum }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        self.avx._mm256_add_ps(a, b)
    }

    #[inline(always)]
    fn reduce(self, [a, b, c, d]: [__m256; 4]) -> [f32; 4] {
        let f = self.avx;
        let (ab, cd) = (f._mm256_hadd_ps(a, b), f._mm256_hadd_ps(c, d));
        let [low, high]: [__m128; 2] = cast(f._mm256_hadd_ps(ab, cd));
        cast(self.sse._mm_add_ps(low, high))
    }
}
