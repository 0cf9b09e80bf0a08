//! Byte dot products in plain loops over arrays: the compiler makes of them what every machine of the target has.

use pulp::{Scalar256b, cast, f32x8};

use super::byte_dots::ByteDots;
use crate::quant::QuantFormat;

impl ByteDots for Scalar256b {
    type Simd = Scalar256b;
    type Vector = [u8; 32];
    /// The quants; in 4 bits those of the lower halves and those of the upper ones.
    type Activations = [[i8; 32]; 2];

    fn offset(format: QuantFormat) -> bool {
        format == QuantFormat::Int4
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
    fn load(self, quants: &[u8]) -> [u8; 32] {
        match quants.try_into() {
            Ok(quants) => quants,
            Err(_) => {
                let mut all = [0; 32];
                all[..quants.len()].copy_from_slice(quants);
                all
            }
        }
    }

    #[inline(always)]
    fn activations(self, format: QuantFormat, quants: &[i8]) -> [[i8; 32]; 2] {
        let vector = |i: usize| *quants[i * 32..].first_chunk().unwrap_or(&[0; 32]);
        match format {
            QuantFormat::Int8 => [vector(0), [0; 32]],
            QuantFormat::Int4 | QuantFormat::Mxfp4 => [vector(0), vector(1)],
        }
    }

    #[inline(always)]
    fn times(self, format: QuantFormat, quants: [u8; 32], [first, second]: [[i8; 32]; 2]) -> f32x8 {
        // A group's whole product goes to its first lane: compilers have instructions for one sum over all of it.
        let mut sums = [0.0; 8];
        match format {
            QuantFormat::Int8 => {
                let quants = widened(|i| format.quant(quants[i]));
                sums[0] = dot(&quants, &first) as f32;
            }
            QuantFormat::Int4 | QuantFormat::Mxfp4 => {
                let quant = |bits: u8| if format == QuantFormat::Int4 { i32::from(bits) } else { format.quant(bits) };
                let lower = widened(|i| quant(quants[i] & 0xf));
                let upper = widened(|i| quant(quants[i] >> 4));
                for (group, sum) in sums.iter_mut().step_by(4).enumerate() {
                    let bytes = 16 * group..16 * (group + 1);
                    let lower = dot(&lower[bytes.clone()], &first[bytes.clone()]);
                    let upper = dot(&upper[bytes.clone()], &second[bytes]);
                    *sum = (lower + upper) as f32;
                }
            }
        }
        cast(sums)
    }

    #[inline(always)]
    fn spread(self, format: QuantFormat, scales: f32x8, vector: usize) -> f32x8 {
        let scales: [f32; 8] = cast(scales);
        let [first, second] = match format {
            QuantFormat::Int8 => [vector, vector],
            QuantFormat::Int4 | QuantFormat::Mxfp4 => [2 * vector, 2 * vector + 1],
        };
        let [first, second] = [scales[first], scales[second]];
        cast([first, first, first, first, second, second, second, second])
    }

    #[inline(always)]
    fn zero_points(self, words: &[i32]) -> f32x8 {
        let word = words[0];
        let mut zeros = [0.0; 8];
        for (i, zero) in zeros.iter_mut().enumerate() {
            *zero = (word >> (4 * i) & 0xf) as f32;
        }
        cast(zeros)
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
fn widened(quant: impl Fn(usize) -> i32) -> [i16; 32] {
    let mut quants = [0; 32];
    for (i, to) in quants.iter_mut().enumerate() {
        *to = quant(i) as i16;
    }
    quants
}

#[inline(always)]
fn dot(quants: &[i16], x: &[i8]) -> i32 {
    let products = quants.iter().zip(x);
    products.map(|(quant, x)| i32::from(*quant) * i32::from(*x)).sum()
}
