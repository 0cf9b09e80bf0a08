//! `e^x` and `tanh` on vectors.

use crate::simd_ext::SimdExt;

/// `e^x` for `x <= 0`, within `2^-23` of its value; 0 below `ln 2^-126`, where floats lose their precision. NaN gives NaN.
#[inline(always)]
pub fn exp<S: SimdExt>(simd: S, x: S::f32s) -> S::f32s {
    let (fit, power) = reduce(simd, x);
    let value = simd.mul_f32s(simd.add_f32s(fit, simd.splat_f32s(1.0)), power);
    let vanishes = simd.less_than_f32s(x, simd.splat_f32s(-87.336_54)); // ln 2^-126
    simd.select_f32s(vanishes, simd.splat_f32s(0.0), value)
}

/// `tanh x`, within `2^-21` of its value. NaN gives NaN.
///
/// `tanh |x| = (1 - e^y) / (1 + e^y)` with `y = -2 |x|`, where `e^y - 1` is precise for a small `y`, too.
#[inline(always)]
pub fn tanh<S: SimdExt>(simd: S, x: S::f32s) -> S::f32s {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let y = simd.mul_f32s(simd.abs_f32s(x), simd.splat_f32s(-2.0));
    let (fit, power) = reduce(simd, y);
    let value = simd.multiply_add(fit, power, simd.sub_f32s(power, one)); // e^y - 1
    let vanishes = simd.less_than_f32s(y, simd.splat_f32s(-40.0));
    let value = simd.select_f32s(vanishes, simd.splat_f32s(-1.0), value);
    let negative = simd.div_f32s(value, simd.add_f32s(value, simd.splat_f32s(2.0))); // -tanh |x|
    let is_negative = simd.less_than_f32s(x, zero);
    simd.select_f32s(is_negative, negative, simd.sub_f32s(zero, negative))
}

/// `e^r - 1` and `2^n`, where `e^x = 2^n e^r`, for `-87.4 <= x <= 0`.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; the polynomial for `e^r - 1` is off by `3.7e-9` at most (a minimax fit).
#[inline(always)]
fn reduce<S: SimdExt>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    // Adding 1.5 * 2^23 leaves no bits for a fraction: the sum rounds to an integer, whose low bits are those of the float.
    // With the exponent's bias added they become the bits of 2^n, once shifted to the place of the exponent.
    const ROUND: f32 = 12_582_912.0 + 127.0;
    const LN2_HIGH: f32 = 0.693_359_4; // 355 / 512: n times it is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const FIT: [f32; 5] = [0.001_381_454_6, 0.008_368_745, 0.041_668_39, 0.166_665_21, 0.499_999_94];
    let shifted = simd.multiply_add(x, simd.splat_f32s(std::f32::consts::LOG2_E), simd.splat_f32s(ROUND));
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = simd.multiply_add(n, simd.splat_f32s(-LN2_HIGH), x);
    let r = simd.multiply_add(n, simd.splat_f32s(-LN2_LOW), r);
    let mut fit = simd.splat_f32s(FIT[0]);
    for coefficient in &FIT[1..] {
        fit = simd.multiply_add(fit, r, simd.splat_f32s(*coefficient));
    }
    let fit = simd.multiply_add(fit, simd.mul_f32s(r, r), r);
    let bits = simd.transmute_u32s_f32s(shifted);
    let power = simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23));
    (fit, simd.transmute_f32s_u32s(power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, Kernel};

    struct Tanh<'a>(&'a mut [f32]);

    impl Kernel for Tanh<'_> {
        #[inline(always)]
        fn run<S: SimdExt>(self, simd: S) {
            let (vectors, rest) = S::as_mut_simd_f32s(self.0);
            assert!(rest.is_empty());
            for x in vectors {
                *x = tanh(simd, *x);
            }
        }
    }

    #[test]
    fn tanh_is_within_its_bound_everywhere() {
        for isa in Isa::all() {
            // Every 397th float of both signs, from the smallest to infinity.
            let positive = (0..=0x7f80_0000_u32).step_by(397);
            let all: Vec<f32> = positive.flat_map(|bits| [bits, bits | 0x8000_0000]).map(f32::from_bits).collect();
            for x in all.chunks_exact(16) {
                let mut values = x.to_vec();
                isa.run(Tanh(&mut values));
                for (x, y) in x.iter().zip(&values) {
                    let defined = f64::from(*x).tanh();
                    let off = (f64::from(*y) - defined).abs();
                    let bound = defined.abs() * 2f64.powi(-21) + f64::from(f32::MIN_POSITIVE);
                    assert!(off <= bound && y.abs() <= 1.0, "{isa:?} {x} {y}");
                }
            }
            let mut edge = [0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN].repeat(4);
            isa.run(Tanh(&mut edge));
            assert_eq!(edge[..3], [0.0, 1.0, -1.0]);
            assert!(edge[3].is_nan());
        }
    }

    struct Exp<'a>(&'a mut [f32]);

    impl Kernel for Exp<'_> {
        #[inline(always)]
        fn run<S: SimdExt>(self, simd: S) {
            let (vectors, rest) = S::as_mut_simd_f32s(self.0);
            assert!(rest.is_empty());
            for x in vectors {
                *x = exp(simd, *x);
            }
        }
    }

    #[test]
    fn exp_is_within_its_bound_everywhere() {
        for isa in Isa::all() {
            // Every 97th float from -0 down to -infinity, and its NaNs.
            let mut values = Vec::new();
            let all: Vec<u32> = (0x8000_0000..=0xff80_0000_u32).step_by(97).collect();
            for bits in all.chunks_exact(16) {
                values.clear();
                values.extend(bits.iter().copied().map(f32::from_bits));
                let x = values.clone();
                isa.run(Exp(&mut values));
                for (x, y) in x.iter().zip(&values) {
                    let defined = f64::from(*x).exp();
                    let bound = if *x < -87.4 { 2f64.powi(-126) } else { defined * 2f64.powi(-23) };
                    let off = (f64::from(*y) - defined).abs();
                    assert!(off <= bound || *x < -87.3 && off <= 2f64.powi(-126), "{isa:?} {x} {y}");
                }
            }
            let mut edge = [0.0, -0.0, f32::NEG_INFINITY, f32::NAN, -87.336_54, -87.336_55, f32::MIN, -1e-45].repeat(2);
            isa.run(Exp(&mut edge));
            assert_eq!(edge[..3], [1.0, 1.0, 0.0]);
            assert!(edge[3].is_nan() && edge[4] > 1.17e-38 && edge[4] < 1.18e-38);
            assert_eq!(edge[5..8], [0.0, 0.0, 1.0]);
        }
    }
}
