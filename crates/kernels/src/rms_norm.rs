//! RMSNorm: `x / sqrt(mean(x^2) + eps) * weight`, row by row; or `* (1 + weight)`, as Gemma has it.

use crate::{
    chunk::chunk_len,
    isa::{Isa, Kernel},
    share::share_each,
    simd_ext::SimdExt,
};

/// The numbers of an RMSNorm beside its weight.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// Added to the mean of the squares.
    pub eps: f32,
    /// Whether the factor is `1 + weight`, and not `weight`.
    pub plus_one: bool,
}

/// `x` `[n, d]`, `weight` `[d]` -> `out` `[n, d]`
///
/// Relative error: at most `(d / 32 + 16) 2^-24`, as squares are summed in 16 parts or more, and the root halves the
/// error of their sum.
pub fn rms_norm(isa: Isa, x: &[f32], weight: &[f32], norm: RmsNorm, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "as many outputs as inputs");
    let Some(chunk) = chunk_len(x.len(), weight.len()) else {
        return;
    };
    let rows = |(x, out): (&[f32], &mut [f32])| {
        isa.run(Rows { x, weight, norm, out });
    };
    if chunk < x.len() {
        share_each(x.chunks(chunk).zip(out.chunks_mut(chunk)), rows);
    } else {
        rows((x, out));
    }
}

/// Adds `delta` to `x` and norms the sum, as between the parts of a decoder layer.
///
/// `x` and `delta` `[n, d]`, `weight` `[d]` -> `x`, `out` `[n, d]`
///
/// Error: that of [`rms_norm`] of the rounded sum.
pub fn add_rms_norm(isa: Isa, x: &mut [f32], delta: &[f32], weight: &[f32], norm: RmsNorm, out: &mut [f32]) {
    assert!(x.len() == delta.len() && x.len() == out.len(), "as many outputs as inputs");
    let Some(chunk) = chunk_len(x.len(), weight.len()) else {
        return;
    };
    let rows = |((x, delta), out): ((&mut [f32], &[f32]), &mut [f32])| {
        isa.run(Add { x, delta });
        isa.run(Rows { x, weight, norm, out });
    };
    if chunk < x.len() {
        share_each(x.chunks_mut(chunk).zip(delta.chunks(chunk)).zip(out.chunks_mut(chunk)), rows);
    } else {
        rows(((x, delta), out));
    }
}

/// Adds `delta` to `x`, of one length.
pub fn add(isa: Isa, x: &mut [f32], delta: &[f32]) {
    assert_eq!(x.len(), delta.len(), "one for each");
    let Some(chunk) = chunk_len(x.len(), 1) else {
        return;
    };
    let sum = |(x, delta): (&mut [f32], &[f32])| isa.run(Add { x, delta });
    if chunk < x.len() { share_each(x.chunks_mut(chunk).zip(delta.chunks(chunk)), sum) } else { sum((x, delta)) }
}

struct Rows<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    norm: RmsNorm,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        let d = self.weight.len();
        let (weight, weight_rest) = S::as_simd_f32s(self.weight);
        for (x, out) in self.x.chunks_exact(d).zip(self.out.chunks_exact_mut(d)) {
            let scale = 1.0 / (sum_of_squares(simd, x) / d as f32 + self.norm.eps).sqrt();
            let factor = simd.splat_f32s(scale);
            let (x, x_rest) = S::as_simd_f32s(x);
            let (out, out_rest) = S::as_mut_simd_f32s(out);
            let rest = out_rest.iter_mut().zip(x_rest).zip(weight_rest);
            if self.norm.plus_one {
                let one = simd.splat_f32s(1.0);
                for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                    *out = simd.mul_f32s(simd.mul_f32s(*x, factor), simd.add_f32s(one, *weight));
                }
                for ((out, x), weight) in rest {
                    *out = x * scale * (1.0 + weight);
                }
            } else {
                for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                    *out = simd.mul_f32s(simd.mul_f32s(*x, factor), *weight);
                }
                for ((out, x), weight) in rest {
                    *out = x * scale * weight;
                }
            }
        }
    }
}

#[inline(always)]
fn sum_of_squares<S: SimdExt>(simd: S, x: &[f32]) -> f32 {
    let (x, rest) = S::as_simd_f32s(x);
    // Four sums, so that an addition need not wait for the one before.
    let mut sums = [simd.splat_f32s(0.0); 4];
    let (fours, ones) = pulp::as_arrays::<4, _>(x);
    for four in fours {
        for (sum, x) in sums.iter_mut().zip(four) {
            *sum = simd.multiply_add(*x, *x, *sum);
        }
    }
    for (sum, x) in sums.iter_mut().zip(ones) {
        *sum = simd.multiply_add(*x, *x, *sum);
    }
    let [a, b, c, d] = sums;
    let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
    rest.iter().fold(simd.reduce_sum_f32s(sum), |sum, x| sum + x * x)
}

struct Add<'a> {
    x: &'a mut [f32],
    delta: &'a [f32],
}

impl Kernel for Add<'_> {
    #[inline(always)]
    fn run<S: SimdExt>(self, _: S) {
        for (x, delta) in self.x.iter_mut().zip(self.delta) {
            *x += delta;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    fn defined(x: &[f32], weight: &[f32], norm: RmsNorm) -> Vec<f64> {
        let rows = x.chunks(weight.len()).map(|row| {
            let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
            let root = (squares / row.len() as f64 + f64::from(norm.eps)).sqrt();
            let one = f64::from(u8::from(norm.plus_one));
            row.iter().zip(weight).map(move |(x, weight)| f64::from(*x) / root * (one + f64::from(*weight)))
        });
        rows.flatten().collect()
    }

    #[test]
    fn rms_norm_is_the_definition() {
        // The last of them is large enough for several threads.
        for (n, d) in [(0, 5), (1, 1), (1, 7), (1, 2048), (3, 24), (5, 129), (40, 512), (130, 1000)] {
            let (x, delta, weight) = (random(n * d, 1), random(n * d, 2), random(d, 3));
            let sum: Vec<f32> = x.iter().zip(&delta).map(|(x, delta)| x + delta).collect();
            for (isa, plus_one) in Isa::all().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
                let norm = RmsNorm { eps: 1e-5, plus_one };
                let bound = (d as f64 / 32.0 + 16.0) * 2f64.powi(-24);
                let close = |out: &[f32], x: &[f32]| {
                    for (out, defined) in out.iter().zip(defined(x, &weight, norm)) {
                        let off = (f64::from(*out) - defined).abs();
                        assert!(off <= bound * defined.abs(), "{isa:?} {n}x{d} {out} {defined}");
                    }
                };
                let mut out = vec![f32::NAN; n * d];
                rms_norm(isa, &x, &weight, norm, &mut out);
                close(&out, &x);
                let mut total = x.clone();
                add_rms_norm(isa, &mut total, &delta, &weight, norm, &mut out);
                assert_eq!(total, sum);
                close(&out, &sum);
                let mut total = x.clone();
                add(isa, &mut total, &delta);
                assert_eq!(total, sum);
            }
        }
    }

    #[test]
    fn rms_norm_keeps_zeros_zero_and_nan_in_its_row() {
        for isa in Isa::all() {
            let mut x = vec![0.0; 3 * 20];
            x[25] = f32::NAN;
            let mut out = x.clone();
            rms_norm(isa, &x, &[1.0; 20], RmsNorm { eps: 1e-6, plus_one: false }, &mut out);
            assert!(out[20..40].iter().all(|x| x.is_nan()));
            assert!(out[..20].iter().chain(&out[40..]).all(|x| *x == 0.0));
        }
    }
}
