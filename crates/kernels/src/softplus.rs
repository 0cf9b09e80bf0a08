//! `softplus(x + bias) = ln(1 + e^(x + bias))`, row by row: the time step of a selective state space.

use crate::{
    chunk::chunk_len,
    exp::exp,
    isa::{Isa, Kernel},
    share::share_each,
    simd_ext::SimdExt,
};

/// `x` `[n, width]`, `bias` `[width]` -> `x`
///
/// In place. Relative error: at most `(12 + |x| + |bias|) 2^-24`; below `ln 2^-126` it is 0.
pub fn softplus(isa: Isa, x: &mut [f32], bias: &[f32]) {
    let Some(chunk) = chunk_len(x.len(), bias.len()) else {
        return;
    };
    let rows = |x: &mut [f32]| isa.run(Rows { x, bias });
    if chunk < x.len() { share_each(x.chunks_mut(chunk), rows) } else { rows(x) }
}

struct Rows<'a> {
    x: &'a mut [f32],
    bias: &'a [f32],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        let (bias, bias_rest) = S::as_simd_f32s(self.bias);
        for row in self.x.chunks_exact_mut(self.bias.len()) {
            let (row, rest) = S::as_mut_simd_f32s(row);
            for (x, bias) in row.iter_mut().zip(bias) {
                *x = value(simd, simd.add_f32s(*x, *bias));
            }
            let last = simd.add_f32s(simd.partial_load_f32s(rest), simd.partial_load_f32s(bias_rest));
            simd.partial_store_f32s(rest, value(simd, last));
        }
    }
}

/// `max(x, 0) + ln(1 + z)` with `z = e^-|x|`, where `ln(1 + z) = 2 artanh s` with `s = z / (2 + z)`: at most 1/3, so that the
/// series is short.
#[inline(always)]
fn value<S: SimdExt>(simd: S, x: S::f32s) -> S::f32s {
    const SERIES: [f32; 7] = [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
    let zero = simd.splat_f32s(0.0);
    let z = exp(simd, simd.sub_f32s(zero, simd.abs_f32s(x)));
    let s = simd.div_f32s(z, simd.add_f32s(z, simd.splat_f32s(2.0)));
    let square = simd.mul_f32s(s, s);
    let mut series = simd.splat_f32s(1.0 / 15.0);
    for coefficient in &SERIES {
        series = simd.multiply_add(series, square, simd.splat_f32s(*coefficient));
    }
    let positive = simd.select_f32s(simd.less_than_f32s(x, zero), zero, x);
    simd.multiply_add(simd.add_f32s(s, s), series, positive)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ROUNDOFF, random};

    #[test]
    fn softplus_is_within_its_bound() {
        // The last of them is large enough for several threads.
        for (n, width) in [(0, 3), (1, 1), (3, 7), (2, 64), (5, 129), (90, 1000)] {
            let x: Vec<f32> = random(n * width, 1).into_iter().map(|x| 100.0 * x * x * x).collect();
            let bias = random(width, 2);
            for isa in Isa::all() {
                let mut out = x.clone();
                softplus(isa, &mut out, &bias);
                for (at, (out, x)) in out.iter().zip(&x).enumerate() {
                    let (x, bias) = (f64::from(*x), f64::from(bias[at % width]));
                    let sum = x + bias;
                    let defined = sum.max(0.0) + (-sum.abs()).exp().ln_1p();
                    let bound = (12.0 + x.abs() + bias.abs()) * ROUNDOFF * defined;
                    let off = (f64::from(*out) - defined).abs();
                    assert!(off <= bound.max(2f64.powi(-126)), "{isa:?} {n}x{width} {sum}: {out} is not {defined}");
                }
            }
        }
    }

    #[test]
    fn limits() {
        for isa in Isa::all() {
            let mut x = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e30, -1e30];
            softplus(isa, &mut x, &[0.0; 5]);
            assert_eq!(x[..2], [f32::INFINITY, 0.0]);
            assert!(x[2].is_nan());
            assert_eq!(x[3..], [1e30, 0.0]);
        }
    }
}
