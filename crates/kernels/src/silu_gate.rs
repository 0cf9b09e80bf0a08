//! The gate of SwiGLU: `silu(gate) * up`, where `silu(g) = g / (1 + e^-g)`.

use rayon::prelude::*;

use crate::{
    chunk::chunk_len,
    exp::exp,
    isa::{Isa, Kernel},
    simd_ext::SimdExt,
};

/// `gate`, `up` `[n]` -> `gate`
///
/// In place: a third array would be half as much again to move. Relative error: at most `6 * 2^-24`, two of them from the
/// exponential. Where `e^-|gate|` is below `2^-126` it counts as 0, and the result is off by `2^-119 |up|` at most. A
/// gate of `-inf` gives NaN, as the product `gate * sigmoid(gate)` does.
pub fn silu_gate(isa: Isa, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "one gate for each");
    let Some(chunk) = chunk_len(gate.len(), 1) else {
        return;
    };
    let gated = |(gate, up): (&mut [f32], &[f32])| isa.run(Gate { gate, up });
    if chunk < gate.len() {
        gate.par_chunks_mut(chunk).zip(up.par_chunks(chunk)).for_each(gated);
    } else {
        gated((gate, up));
    }
}

struct Gate<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Kernel for Gate<'_> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        let (gate, gate_rest) = S::as_mut_simd_f32s(self.gate);
        let (up, up_rest) = S::as_simd_f32s(self.up);
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = simd.mul_f32s(silu(simd, *gate), *up);
        }
        let last = silu(simd, simd.partial_load_f32s(gate_rest));
        let last = simd.mul_f32s(last, simd.partial_load_f32s(up_rest));
        simd.partial_store_f32s(gate_rest, last);
    }
}

#[inline(always)]
fn silu<S: SimdExt>(simd: S, g: S::f32s) -> S::f32s {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let magnitude = simd.abs_f32s(g);
    let small = exp(simd, simd.sub_f32s(zero, magnitude)); // at most 1: nothing overflows
    let negative = simd.less_than_f32s(g, zero);
    let numerator = simd.select_f32s(negative, small, one);
    let sigmoid = simd.div_f32s(numerator, simd.add_f32s(one, small));
    simd.mul_f32s(g, sigmoid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    fn silu(g: f64) -> f64 {
        g / (1.0 + (-g).exp())
    }

    #[test]
    fn silu_gate_is_within_its_bound_for_every_gate() {
        // Every 1009th float of either sign, infinities and NaNs left out: more than one thread's chunk.
        let gates: Vec<f32> = (0..=u32::MAX)
            .step_by(1009)
            .map(f32::from_bits)
            .filter(|gate| gate.is_finite() && gate.abs() < 1e30)
            .collect();
        let up: Vec<f32> = random(gates.len(), 1).into_iter().map(|up| up + 2.0).collect();
        for isa in Isa::all() {
            let mut out = gates.clone();
            silu_gate(isa, &mut out, &up);
            for ((gate, up), out) in gates.iter().zip(&up).zip(out) {
                let defined = silu(f64::from(*gate)) * f64::from(*up);
                let bound = 6.0 * 2f64.powi(-24) * defined.abs() + 2f64.powi(-119) * f64::from(*up);
                let off = (f64::from(out) - defined).abs();
                // Below the normal floats nothing has a relative error.
                assert!(off <= bound.max(2f64.powi(-126)), "{isa:?} {gate} {up} {out} {defined}");
            }
        }
    }

    #[test]
    fn silu_gate_of_every_length_and_of_limits() {
        for isa in Isa::all() {
            for n in 0..40 {
                let (gate, up) = (random(n, 3), random(n, 4));
                let mut out = gate.clone();
                silu_gate(isa, &mut out, &up);
                for ((gate, up), out) in gate.iter().zip(up).zip(out) {
                    let defined = silu(f64::from(*gate)) * f64::from(up);
                    assert!((f64::from(out) - defined).abs() <= 6.0 * 2f64.powi(-24) * defined.abs());
                }
            }
            let mut limits = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -1e30, 0.0, -0.0, 1e30];
            silu_gate(isa, &mut limits, &[1.0; 7]);
            assert_eq!(limits[0], f32::INFINITY);
            assert!(limits[1].is_nan() && limits[2].is_nan());
            assert_eq!(limits[3..], [0.0, 0.0, 0.0, 1e30]);
        }
    }
}
