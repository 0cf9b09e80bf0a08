//! RMSNorm: `x / sqrt(mean(x^2) + eps) * weight`, row by row.

use rayon::prelude::*;

use super::{
    lanes::{Kernel, Lanes, Level},
    share::shares,
};

/// `x` `[n, d]`, `weight` `[d]` -> `out` `[n, d]`
///
/// Relative error: at most `(d / 32 + 16) 2^-24`, as squares are summed in 16 parts or more, and the root halves the
/// error of their sum.
pub fn rms_norm(level: Level, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "as many outputs as inputs");
    let Some(share) = shares(x.len(), weight.len()) else {
        return;
    };
    let rows = |(x, out): (&[f32], &mut [f32])| {
        level.run(Rows {
            x,
            weight,
            eps,
            out,
        });
    };
    match share < x.len() {
        true => x
            .par_chunks(share)
            .zip(out.par_chunks_mut(share))
            .for_each(rows),
        false => rows((x, out)),
    }
}

/// Adds `delta` to `x` and norms the sum: what stands between the parts of decoder layers.
///
/// `x` and `delta` `[n, d]`, `weight` `[d]` -> `x`, `out` `[n, d]`
///
/// Error: that of [`rms_norm`] of the rounded sum.
pub fn add_rms_norm(
    level: Level,
    x: &mut [f32],
    delta: &[f32],
    weight: &[f32],
    eps: f32,
    out: &mut [f32],
) {
    assert!(
        x.len() == delta.len() && x.len() == out.len(),
        "as many outputs as inputs"
    );
    let Some(share) = shares(x.len(), weight.len()) else {
        return;
    };
    let rows = |((x, delta), out): ((&mut [f32], &[f32]), &mut [f32])| {
        level.run(Add { x, delta });
        level.run(Rows {
            x,
            weight,
            eps,
            out,
        });
    };
    match share < x.len() {
        true => x
            .par_chunks_mut(share)
            .zip(delta.par_chunks(share))
            .zip(out.par_chunks_mut(share))
            .for_each(rows),
        false => rows(((x, delta), out)),
    }
}

struct Rows<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Lanes>(self, simd: S) {
        let d = self.weight.len();
        let (weight, weight_rest) = S::as_simd_f32s(self.weight);
        for (x, out) in self.x.chunks_exact(d).zip(self.out.chunks_exact_mut(d)) {
            let scale = 1.0 / (sum_of_squares(simd, x) / d as f32 + self.eps).sqrt();
            let factor = simd.splat_f32s(scale);
            let (x, x_rest) = S::as_simd_f32s(x);
            let (out, out_rest) = S::as_mut_simd_f32s(out);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = simd.mul_f32s(simd.mul_f32s(*x, factor), *weight);
            }
            for ((out, x), weight) in out_rest.iter_mut().zip(x_rest).zip(weight_rest) {
                *out = x * scale * weight;
            }
        }
    }
}

#[inline(always)]
fn sum_of_squares<S: Lanes>(simd: S, x: &[f32]) -> f32 {
    let (x, rest) = S::as_simd_f32s(x);
    // Four sums, so that one addition need not wait for the one before.
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
    rest.iter()
        .fold(simd.reduce_sum_f32s(sum), |sum, x| sum + x * x)
}

struct Add<'a> {
    x: &'a mut [f32],
    delta: &'a [f32],
}

impl Kernel for Add<'_> {
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
        for (x, delta) in self.x.iter_mut().zip(self.delta) {
            *x += delta;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::noise;

    fn defined(x: &[f32], weight: &[f32], eps: f32) -> Vec<f64> {
        let rows = x.chunks(weight.len()).map(|row| {
            let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
            let root = (squares / row.len() as f64 + f64::from(eps)).sqrt();
            row.iter()
                .zip(weight)
                .map(move |(x, weight)| f64::from(*x) / root * f64::from(*weight))
        });
        rows.flatten().collect()
    }

    #[test]
    fn it_is_the_definition() {
        // The last of them is large enough for several threads.
        for (n, d) in [
            (0, 5),
            (1, 1),
            (1, 7),
            (1, 2048),
            (3, 24),
            (5, 129),
            (40, 512),
            (130, 1000),
        ] {
            let (x, delta, weight) = (noise(n * d, 1), noise(n * d, 2), noise(d, 3));
            let sum: Vec<f32> = x.iter().zip(&delta).map(|(x, delta)| x + delta).collect();
            for level in Level::all() {
                let bound = (d as f64 / 32.0 + 16.0) * 2f64.powi(-24);
                let close = |out: &[f32], x: &[f32]| {
                    for (out, defined) in out.iter().zip(defined(x, &weight, 1e-5)) {
                        let off = (f64::from(*out) - defined).abs();
                        assert!(
                            off <= bound * defined.abs(),
                            "{level:?} {n}x{d} {out} {defined}"
                        );
                    }
                };
                let mut out = vec![f32::NAN; n * d];
                rms_norm(level, &x, &weight, 1e-5, &mut out);
                close(&out, &x);
                let mut total = x.clone();
                add_rms_norm(level, &mut total, &delta, &weight, 1e-5, &mut out);
                assert_eq!(total, sum);
                close(&out, &sum);
            }
        }
    }

    #[test]
    fn zeros_stay_zeros_and_nan_stays_in_its_row() {
        for level in Level::all() {
            let mut x = vec![0.0; 3 * 20];
            x[25] = f32::NAN;
            let mut out = x.clone();
            rms_norm(level, &x, &[1.0; 20], 1e-6, &mut out);
            assert!(out[20..40].iter().all(|x| x.is_nan()));
            assert!(out[..20].iter().chain(&out[40..]).all(|x| *x == 0.0));
        }
    }
}
