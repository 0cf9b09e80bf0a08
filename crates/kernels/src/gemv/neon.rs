//! Byte dot products in NEON, 16 bytes in a register: products are added in pairs to 16 bits and these in pairs to 32.

use std::arch::aarch64::{float32x4_t, int32x4_t, uint8x16_t};

use pulp::{Simd, aarch64::Neon, cast};

use super::bytes::{Bytes, SPAN};
use crate::{quant::blocks::half_power, simd_ext::SimdExt};

#[inline(always)]
fn splat(value: u8) -> uint8x16_t {
    cast([value; 16])
}

impl Bytes for Neon {
    type Quants = [uint8x16_t; 2];
    type Floats = [float32x4_t; 2];
    type Factors = [float32x4_t; 4];

    const GROUPS: usize = 1;
    const TILE: usize = 4;

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        Simd::vectorize(self, f);
    }

    #[inline(always)]
    fn load<'a>(self, group: impl Fn(usize) -> &'a [u8; 32]) -> [uint8x16_t; 2] {
        cast(*group(0))
    }

    #[inline(always)]
    fn nibbles<'a>(self, group: impl Fn(usize) -> &'a [u8; 16]) -> [uint8x16_t; 2] {
        let bytes: uint8x16_t = cast(*group(0));
        [self.neon.vandq_u8(bytes, splat(0xf)), self.neon.vshrq_n_u8::<4>(bytes)]
    }

    /// A shift by fewer than none goes to the right.
    #[inline(always)]
    fn field(self, bytes: [uint8x16_t; 2], right: impl Fn(usize) -> i32, mask: u8) -> [uint8x16_t; 2] {
        let by = cast([-right(0) as i8; 16]);
        bytes.map(|bytes| self.neon.vandq_u8(self.neon.vshlq_u8(bytes, by), splat(mask)))
    }

    #[inline(always)]
    fn bits(self, group: impl Fn(usize) -> u32, value: u8) -> [uint8x16_t; 2] {
        const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        let [a, b, c, d] = group(0).to_le_bytes();
        [[a, b], [c, d]].map(|[low, high]| {
            let bytes = cast([[low; 8], [high; 8]]);
            self.neon.vandq_u8(self.neon.vtstq_u8(bytes, cast(BITS)), splat(value))
        })
    }

    #[inline(always)]
    fn or(self, [a, a2]: [uint8x16_t; 2], [b, b2]: [uint8x16_t; 2]) -> [uint8x16_t; 2] {
        [self.neon.vorrq_u8(a, b), self.neon.vorrq_u8(a2, b2)]
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: [uint8x16_t; 2]) -> [uint8x16_t; 2] {
        bytes.map(|bytes| self.neon.vqtbl1q_u8(cast(*table), bytes))
    }

    #[inline(always)]
    fn signed(self, bytes: [uint8x16_t; 2]) -> [uint8x16_t; 2] {
        bytes
    }

    #[inline(always)]
    fn signed_from_offset(self, bytes: [uint8x16_t; 2]) -> [uint8x16_t; 2] {
        bytes.map(|bytes| self.neon.veorq_u8(bytes, splat(0x80)))
    }

    /// Unsigned quants are small enough to be signed ones too. Two products are at most 2 * 128 * 127, which 16 bits hold.
    #[inline(always)]
    fn dot<const SIGNED: bool>(
        self,
        quants: [uint8x16_t; 2],
        x: &[i8; SPAN * 32],
        register: usize,
    ) -> [float32x4_t; 2] {
        let x: [uint8x16_t; 2] = cast(x.as_chunks::<32>().0[register]);
        let n = self.neon;
        let dot = |quants: uint8x16_t, x: uint8x16_t| -> float32x4_t {
            let [first, second]: [[u64; 2]; 2] = [cast(quants), cast(x)];
            let lower = n.vmull_s8(cast(first[0]), cast(second[0]));
            let upper = n.vmull_s8(cast(first[1]), cast(second[1]));
            let sums: int32x4_t = n.vpaddlq_s16(n.vpaddq_s16(lower, upper));
            n.vcvtq_f32_s32(sums)
        };
        [dot(quants[0], x[0]), dot(quants[1], x[1])]
    }

    #[inline(always)]
    fn half(self, bits: u16) -> [float32x4_t; 4] {
        [cast(self.widen_f16([bits; 4])); 4]
    }

    #[inline(always)]
    fn half_powers(self, exponents: [u8; SPAN]) -> [float32x4_t; 4] {
        Bytes::floats(self, &exponents.map(half_power))
    }

    #[inline(always)]
    fn halves(self, bits: [u16; SPAN]) -> [float32x4_t; 4] {
        let [low, high]: [[u16; 4]; 2] = cast(bits);
        [cast(self.widen_f16(low)), cast(self.widen_f16(high)), cast([0_f32; 4]), cast([0_f32; 4])]
    }

    #[inline(always)]
    fn floats(self, values: &[f32; SPAN]) -> [float32x4_t; 4] {
        cast([*values, [0.0; SPAN]])
    }

    #[inline(always)]
    fn floats16(self, values: &[f32; 2 * SPAN]) -> [float32x4_t; 4] {
        cast(*values)
    }

    #[inline(always)]
    fn twice(self, values: &[f32; SPAN]) -> [float32x4_t; 4] {
        let [a, b, c, d, e, f, g, h] = *values;
        cast([[a, a, b, b], [c, c, d, d], [e, e, f, f], [g, g, h, h]])
    }

    #[inline(always)]
    fn integers(self, values: [i8; 2 * SPAN]) -> [float32x4_t; 4] {
        cast(values.map(f32::from))
    }

    #[inline(always)]
    fn times(self, a: [float32x4_t; 4], b: [float32x4_t; 4]) -> [float32x4_t; 4] {
        [0, 1, 2, 3].map(|i| self.neon.vmulq_f32(a[i], b[i]))
    }

    #[inline(always)]
    fn scaled(self, factors: [float32x4_t; 4], by: f32) -> [float32x4_t; 4] {
        factors.map(|factors| self.neon.vmulq_f32(factors, cast([by; 4])))
    }

    #[inline(always)]
    fn spread<const SIZE: usize>(self, factors: [float32x4_t; 4], register: usize) -> [float32x4_t; 2] {
        let factors: [f32; 2 * SPAN] = cast(factors);
        let first = 32 * register / SIZE;
        [cast([factors[first]; 4]), cast([factors[first + 16 / SIZE]; 4])]
    }

    #[inline(always)]
    fn zero(self) -> [float32x4_t; 2] {
        [cast([0_f32; 4]); 2]
    }

    #[inline(always)]
    fn multiply_add(self, a: [float32x4_t; 2], b: [float32x4_t; 2], sum: [float32x4_t; 2]) -> [float32x4_t; 2] {
        [self.neon.vfmaq_f32(sum[0], a[0], b[0]), self.neon.vfmaq_f32(sum[1], a[1], b[1])]
    }

    #[inline(always)]
    fn add_factors<const SIZE: usize>(
        self,
        a: [float32x4_t; 4],
        b: [float32x4_t; 4],
        sum: [float32x4_t; 2],
    ) -> [float32x4_t; 2] {
        let sum = Bytes::multiply_add(self, [a[0], a[1]], [b[0], b[1]], sum);
        if SIZE == 16 { Bytes::multiply_add(self, [a[2], a[3]], [b[2], b[3]], sum) } else { sum }
    }

    #[inline(always)]
    fn add(self, a: [float32x4_t; 2], b: [float32x4_t; 2]) -> [float32x4_t; 2] {
        [self.neon.vaddq_f32(a[0], b[0]), self.neon.vaddq_f32(a[1], b[1])]
    }

    #[inline(always)]
    fn reduce(self, four: [[float32x4_t; 2]; 4]) -> [f32; 4] {
        four.map(|[a, b]| self.neon.vaddvq_f32(self.neon.vaddq_f32(a, b)))
    }
}
