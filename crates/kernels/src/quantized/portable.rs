//! Arrays and plain loops, which the compiler turns into whatever the target has for certain.

use pulp::{Scalar256b, cast, f32x8};

use super::bytes::Bytes;
use crate::codes::Bits;

impl Bytes for Scalar256b {
    type Simd = Scalar256b;
    type Vector = [u8; 32];
    /// The codes; of 4 bits those in lower halves and those in upper ones.
    type Activations = [[i8; 32]; 2];

    fn offset(_: Bits) -> bool {
        false
    }

    #[inline(always)]
    fn simd(self) -> Scalar256b {
        self
    }

    #[inline(always)]
    fn vectorize<F: FnOnce()>(self, f: F) {
        f();
    }

    #[inline(always)]
    fn load(self, codes: &[u8]) -> [u8; 32] {
        match codes.try_into() {
            Ok(codes) => codes,
            Err(_) => {
                let mut all = [0; 32];
                all[..codes.len()].copy_from_slice(codes);
                all
            }
        }
    }

    #[inline(always)]
    fn activations(self, bits: Bits, codes: &[i8]) -> [[i8; 32]; 2] {
        let vector = |i: usize| *codes[i * 32..].first_chunk().unwrap_or(&[0; 32]);
        match bits {
            Bits::Eight => [vector(0), [0; 32]],
            Bits::Four => [vector(0), vector(1)],
        }
    }

    #[inline(always)]
    fn times(self, bits: Bits, codes: [u8; 32], [first, second]: [[i8; 32]; 2]) -> f32x8 {
        // A block's whole product in its first lane: one sum over all of it is what compilers know instructions for.
        let mut sums = [0.0; 8];
        match bits {
            Bits::Eight => {
                let codes = without_offset(bits, |i| codes[i]);
                sums[0] = dot(&codes, &first) as f32;
            }
            Bits::Four => {
                let lower = without_offset(bits, |i| codes[i] & 0xf);
                let upper = without_offset(bits, |i| codes[i] >> 4);
                for (block, sum) in sums.iter_mut().step_by(4).enumerate() {
                    let bytes = 16 * block..16 * (block + 1);
                    let lower = dot(&lower[bytes.clone()], &first[bytes.clone()]);
                    let upper = dot(&upper[bytes.clone()], &second[bytes]);
                    *sum = (lower + upper) as f32;
                }
            }
        }
        cast(sums)
    }

    #[inline(always)]
    fn spread(self, bits: Bits, scales: f32x8, vector: usize) -> f32x8 {
        let scales: [f32; 8] = cast(scales);
        let [first, second] = match bits {
            Bits::Eight => [vector, vector],
            Bits::Four => [2 * vector, 2 * vector + 1],
        };
        let [first, second] = [scales[first], scales[second]];
        cast([first, first, first, first, second, second, second, second])
    }

    #[inline(always)]
    fn sums(self, sums: [f32x8; 4]) -> [f32; 4] {
        sums.map(|sum| {
            let [a, b, c, d, e, f, g, h]: [f32; 8] = cast(sum);
            ((a + e) + (b + f)) + ((c + g) + (d + h))
        })
    }
}

#[inline(always)]
fn without_offset(bits: Bits, code: impl Fn(usize) -> u8) -> [i16; 32] {
    let mut codes = [0; 32];
    for (i, to) in codes.iter_mut().enumerate() {
        *to = i16::from(code(i)) - bits.offset() as i16;
    }
    codes
}

#[inline(always)]
fn dot(codes: &[i16], x: &[i8]) -> i32 {
    let products = codes.iter().zip(x);
    products
        .map(|(code, x)| i32::from(*code) * i32::from(*x))
        .sum()
}
