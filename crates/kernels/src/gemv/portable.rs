//! Byte dot products in plain loops over arrays: the compiler makes of them what every machine of the target has.

use pulp::Scalar256b;

use super::bytes::{Bytes, SPAN};
use crate::{quant::blocks::half_power, simd_ext::SimdExt};

impl Bytes for Scalar256b {
    type Quants = [u8; 32];
    /// The products of 16 columns go to one lane, the first or the fifth: compilers have instructions for one sum over all.
    type Floats = [f32; 8];
    type Factors = [f32; 2 * SPAN];

    const GROUPS: usize = 1;
    const TILE: usize = 1;

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        f();
    }

    #[inline(always)]
    fn load<'a>(self, group: impl Fn(usize) -> &'a [u8; 32]) -> [u8; 32] {
        *group(0)
    }

    #[inline(always)]
    fn nibbles<'a>(self, group: impl Fn(usize) -> &'a [u8; 16]) -> [u8; 32] {
        let mut quants = [0; 32];
        let (lower, upper) = quants.split_at_mut(16);
        for ((lower, upper), byte) in lower.iter_mut().zip(upper).zip(group(0)) {
            (*lower, *upper) = (byte & 0xf, byte >> 4);
        }
        quants
    }

    #[inline(always)]
    fn field(self, bytes: [u8; 32], right: impl Fn(usize) -> i32, mask: u8) -> [u8; 32] {
        match right(0) {
            right @ 0.. => bytes.map(|byte| byte >> right & mask),
            left => bytes.map(|byte| byte << -left & mask),
        }
    }

    #[inline(always)]
    fn bits(self, group: impl Fn(usize) -> u32, value: u8) -> [u8; 32] {
        let bits = group(0);
        let mut quants = [0; 32];
        for (i, quant) in quants.iter_mut().enumerate() {
            *quant = (bits >> i & 1) as u8 * value;
        }
        quants
    }

    #[inline(always)]
    fn or(self, mut a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
        for (a, b) in a.iter_mut().zip(b) {
            *a |= b;
        }
        a
    }

    #[inline(always)]
    fn look_up(self, table: &[i8; 16], bytes: [u8; 32]) -> [u8; 32] {
        bytes.map(|byte| table[usize::from(byte & 0xf)] as u8)
    }

    #[inline(always)]
    fn signed(self, bytes: [u8; 32]) -> [u8; 32] {
        bytes
    }

    #[inline(always)]
    fn signed_from_offset(self, bytes: [u8; 32]) -> [u8; 32] {
        bytes.map(|byte| byte ^ 0x80)
    }

    #[inline(always)]
    fn dot<const SIGNED: bool>(self, quants: [u8; 32], x: &[i8; SPAN * 32], register: usize) -> [f32; 8] {
        // Unsigned quants are small enough to be signed ones too.
        let mut sums = [0.0; 8];
        let quants = quants.map(|quant| i16::from(quant as i8));
        let halves = quants.as_chunks::<16>().0.iter().zip(&x.as_chunks::<16>().0[2 * register..]);
        for ((quants, x), sum) in halves.zip(sums.iter_mut().step_by(4)) {
            let products = quants.iter().zip(x);
            let products = products.map(|(quant, x)| i32::from(*quant) * i32::from(*x));
            *sum = products.sum::<i32>() as f32;
        }
        sums
    }

    #[inline(always)]
    fn half(self, bits: u16) -> [f32; 2 * SPAN] {
        [pulp::cast::<_, [f32; SPAN]>(self.widen_f16([bits; SPAN]))[0]; 2 * SPAN]
    }

    #[inline(always)]
    fn half_powers(self, exponents: [u8; SPAN]) -> [f32; 2 * SPAN] {
        Bytes::floats(self, &exponents.map(half_power))
    }

    #[inline(always)]
    fn halves(self, bits: [u16; SPAN]) -> [f32; 2 * SPAN] {
        Bytes::floats(self, &pulp::cast(self.widen_f16(bits)))
    }

    #[inline(always)]
    fn floats(self, values: &[f32; SPAN]) -> [f32; 2 * SPAN] {
        let mut factors = [0.0; 2 * SPAN];
        factors[..SPAN].copy_from_slice(values);
        factors
    }

    #[inline(always)]
    fn floats16(self, values: &[f32; 2 * SPAN]) -> [f32; 2 * SPAN] {
        *values
    }

    #[inline(always)]
    fn twice(self, values: &[f32; SPAN]) -> [f32; 2 * SPAN] {
        let mut factors = [0.0; 2 * SPAN];
        for (two, value) in factors.as_chunks_mut().0.iter_mut().zip(values) {
            *two = [*value; 2];
        }
        factors
    }

    #[inline(always)]
    fn integers(self, values: [i8; 2 * SPAN]) -> [f32; 2 * SPAN] {
        values.map(f32::from)
    }

    #[inline(always)]
    fn times(self, mut a: [f32; 2 * SPAN], b: [f32; 2 * SPAN]) -> [f32; 2 * SPAN] {
        for (a, b) in a.iter_mut().zip(b) {
            *a *= b;
        }
        a
    }

    #[inline(always)]
    fn scaled(self, factors: [f32; 2 * SPAN], by: f32) -> [f32; 2 * SPAN] {
        factors.map(|factor| factor * by)
    }

    #[inline(always)]
    fn spread<const SIZE: usize>(self, factors: [f32; 2 * SPAN], register: usize) -> [f32; 8] {
        let first = 32 * register / SIZE;
        let [low, high] = [factors[first], factors[first + 16 / SIZE]];
        [low, low, low, low, high, high, high, high]
    }

    #[inline(always)]
    fn zero(self) -> [f32; 8] {
        [0.0; 8]
    }

    #[inline(always)]
    fn multiply_add(self, a: [f32; 8], b: [f32; 8], mut sum: [f32; 8]) -> [f32; 8] {
        for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
        sum
    }

    #[inline(always)]
    fn add_factors<const SIZE: usize>(self, a: [f32; 2 * SPAN], b: [f32; 2 * SPAN], sum: [f32; 8]) -> [f32; 8] {
        let ([a, a2], [b, b2]): ([_; 2], [_; 2]) = (pulp::cast(a), pulp::cast(b));
        let sum = Bytes::multiply_add(self, a, b, sum);
        if SIZE == 16 { Bytes::multiply_add(self, a2, b2, sum) } else { sum }
    }

    #[inline(always)]
    fn add(self, mut a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
        a
    }

    #[inline(always)]
    fn reduce(self, four: [[f32; 8]; 4]) -> [f32; 4] {
        four.map(|[a, b, c, d, e, f, g, h]| ((a + e) + (b + f)) + ((c + g) + (d + h)))
    }
}
