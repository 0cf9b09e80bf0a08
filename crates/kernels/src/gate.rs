//! The gate of an MLP: `act(gate) * up`, where `act(g) = g * sigmoid(s)` with an `s` of the activation's own.

use crate::{
    chunk::chunk_len,
    exp::exp,
    isa::{Isa, Kernel},
    share::share_each,
    simd_ext::SimdExt,
};

/// The activation of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// SwiGLU: `s = g`.
    Silu,
    /// GEGLU with the approximation of GELU by tanh (arXiv:1606.08415): `s = 2 sqrt(2 / pi) (g + 0.044715 g^3)`, since
    /// `(1 + tanh y) / 2 = sigmoid(2 y)`.
    GeluTanh,
}

/// `gate`, `up` `[n]` -> `gate`
///
/// In place: a third array would be half as much again to move. Relative error: at most `6 * 2^-24`, two of them from the
/// exponential, and for GELU `4 |s| 2^-24` more, from `s`. Where `e^-|s|` is below `2^-126` it counts as 0, and the result is
/// off by `2^-119 |up|` at most. A gate of `-inf` gives NaN, as the product `gate * sigmoid(s)` does.
pub fn gate(isa: Isa, kind: Gate, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "one gate for each");
    let Some(chunk) = chunk_len(gate.len(), 1) else {
        return;
    };
    let gated = |(gate, up): (&mut [f32], &[f32])| isa.run(Gated { kind, gate, up });
    if chunk < gate.len() {
        share_each(gate.chunks_mut(chunk).zip(up.chunks(chunk)), gated);
    } else {
        gated((gate, up));
    }
}

struct Gated<'a> {
    kind: Gate,
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Kernel for Gated<'_> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        match self.kind {
            Gate::Silu => each(
                simd,
                self.gate,
                self.up,
                #[inline(always)]
                |g| g,
            ),
            Gate::GeluTanh => each(
                simd,
                self.gate,
                self.up,
                #[inline(always)]
                |g| {
                    let cubic = simd.mul_f32s(simd.mul_f32s(g, g), simd.splat_f32s(0.044_715));
                    let inner = simd.multiply_add(cubic, g, g); // g + 0.044715 g^3
                    simd.mul_f32s(inner, simd.splat_f32s(1.595_769_2)) // 2 sqrt(2 / pi)
                },
            ),
        }
    }
}

/// `gate * sigmoid(s(gate)) * up`, in place.
#[inline(always)]
fn each<S: SimdExt>(simd: S, gate: &mut [f32], up: &[f32], s: impl Fn(S::f32s) -> S::f32s) {
    let (gate, gate_rest) = S::as_mut_simd_f32s(gate);
    let (up, up_rest) = S::as_simd_f32s(up);
    for (gate, up) in gate.iter_mut().zip(up) {
        let activated = simd.mul_f32s(*gate, sigmoid(simd, s(*gate)));
        *gate = simd.mul_f32s(activated, *up);
    }
    let last = simd.partial_load_f32s(gate_rest);
    let last = simd.mul_f32s(last, sigmoid(simd, s(last)));
    let last = simd.mul_f32s(last, simd.partial_load_f32s(up_rest));
    simd.partial_store_f32s(gate_rest, last);
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub fn sigmoid<S: SimdExt>(simd: S, x: S::f32s) -> S::f32s {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let magnitude = simd.abs_f32s(x);
    let small = exp(simd, simd.sub_f32s(zero, magnitude)); // at most 1: nothing overflows
    let negative = simd.less_than_f32s(x, zero);
    let numerator = simd.select_f32s(negative, small, one);
    simd.div_f32s(numerator, simd.add_f32s(one, small))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    const KINDS: [Gate; 2] = [Gate::Silu, Gate::GeluTanh];

    /// `act(g)`, and the relative error that it may have.
    fn defined(kind: Gate, g: f64) -> (f64, f64) {
        let (s, more) = match kind {
            Gate::Silu => (g, 0.0),
            Gate::GeluTanh => {
                let s = 2.0 * (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044715 * g.powi(3));
                (s, 4.0 * s.abs())
            }
        };
        (g / (1.0 + (-s).exp()), (6.0 + more) * 2f64.powi(-24))
    }

    #[test]
    fn gate_is_within_its_bound_for_every_gate() {
        // Every 1009th float of either sign, infinities and NaNs left out: more than one thread's chunk.
        let gates: Vec<f32> = (0..=u32::MAX)
            .step_by(1009)
            .map(f32::from_bits)
            .filter(|gate| gate.is_finite() && gate.abs() < 1e30)
            .collect();
        let up: Vec<f32> = random(gates.len(), 1).into_iter().map(|up| up + 2.0).collect();
        for (isa, kind) in Isa::all().into_iter().flat_map(|isa| KINDS.map(|kind| (isa, kind))) {
            let mut out = gates.clone();
            gate(isa, kind, &mut out, &up);
            for ((gate, up), out) in gates.iter().zip(&up).zip(out) {
                let (activated, relative) = defined(kind, f64::from(*gate));
                let defined = activated * f64::from(*up);
                let bound = relative * defined.abs() + 2f64.powi(-119) * f64::from(*up);
                let off = (f64::from(out) - defined).abs();
                // Below the normal floats nothing has a relative error.
                assert!(off <= bound.max(2f64.powi(-126)), "{isa:?} {kind:?} {gate} {up} {out} {defined}");
            }
        }
    }

    #[test]
    fn gate_of_every_length_and_of_limits() {
        for (isa, kind) in Isa::all().into_iter().flat_map(|isa| KINDS.map(|kind| (isa, kind))) {
            for n in 0..40 {
                let (gates, up) = (random(n, 3), random(n, 4));
                let mut out = gates.clone();
                gate(isa, kind, &mut out, &up);
                for ((gate, up), out) in gates.iter().zip(up).zip(out) {
                    let (activated, relative) = defined(kind, f64::from(*gate));
                    let defined = activated * f64::from(up);
                    assert!((f64::from(out) - defined).abs() <= relative * defined.abs());
                }
            }
            let mut limits = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -1e30, 0.0, -0.0, 1e30];
            gate(isa, kind, &mut limits, &[1.0; 7]);
            assert_eq!(limits[0], f32::INFINITY);
            assert!(limits[1].is_nan() && limits[2].is_nan());
            assert_eq!(limits[3..], [0.0, 0.0, 0.0, 1e30]);
        }
    }
}
