//! Scales and mins that leave the least sum of squared errors, of many that are tried.
//!
//! The idea is that of k-quants' `make_qx_quants` and `make_qkx2_quants`: with the quants held, the best scale and min are a
//! least-squares fit; so try the quants that different steps give, and keep the fit with the least error. Here all steps are
//! tried at once, as lanes of vectors, errors are not weighted, and for the steps both ends of the quants are laid at the
//! largest number. What is stored of a scale is rounded; of the factors around that the one with the least error is taken.

use half::f16;

use super::Half;
use crate::quant::quantize::{clamped, round};

/// The numbers that a format has for quants or factors.
pub(in crate::quant) trait Codes {
    const LOW: f32;
    const HIGH: f32;
    /// How far apart they are at their ends; the unit in which the ends are moved.
    const STEP: f32 = 1.0;

    fn nearest(number: f32) -> f32;

    /// The bits of one of the numbers.
    fn bits(code: f32) -> u8;
}

/// All from `LOW` to `HIGH`, whose bits are 0 and on.
pub(super) struct Integers<const LOW: i16, const HIGH: i16>;

impl<const LOW: i16, const HIGH: i16> Codes for Integers<LOW, HIGH> {
    const LOW: f32 = LOW as f32;
    const HIGH: f32 = HIGH as f32;

    #[inline(always)]
    fn nearest(number: f32) -> f32 {
        round(clamped(number, Self::LOW, Self::HIGH))
    }

    #[inline(always)]
    fn bits(code: f32) -> u8 {
        (code - Self::LOW) as u8
    }
}

/// Smaller ones are zeros in every format, since the least scale is 2^-24; their squares might be none.
const LEAST: f32 = 1.0 / (1 << 26) as f32;

/// Larger ones are beyond every format whose scale is binary16.
const LARGEST: f32 = (1 << 29) as f32;

/// What is tried at once.
const TRIES: usize = 32;

/// Factors that are tried around the nearest.
pub(super) const FACTORS: usize = 16;

/// Of numbers without mins: a scale in binary16, a factor and so a scale for each group, and quants; all as bits.
pub(super) struct Signed<const LEN: usize, const GROUPS: usize> {
    pub d: Half,
    pub factors: [u8; GROUPS],
    pub quants: [u8; LEN],
}

/// The same with mins. Without super-blocks the factors are not used.
pub(super) struct WithMins<const LEN: usize, const GROUPS: usize> {
    pub d: Half,
    pub dmin: Half,
    pub factors: [u8; GROUPS],
    pub min_factors: [u8; GROUPS],
    pub quants: [u8; LEN],
}

/// One group, one scale. `None` if that is beyond binary16.
#[inline(always)]
pub(super) fn signed<Q: Codes, const LEN: usize>(numbers: &[f32; LEN]) -> Option<Signed<LEN, 1>> {
    by_scale::<Q, LEN>(numbers, fit::<Q, LEN>(numbers)?)
}

/// The same by the scale that clips nothing.
#[inline(always)]
pub(super) fn nearest<Q: Codes, const LEN: usize>(numbers: &[f32; LEN]) -> Option<Signed<LEN, 1>> {
    by_scale::<Q, LEN>(numbers, extreme(numbers).abs() / Q::HIGH)
}

#[inline(always)]
fn by_scale<Q: Codes, const LEN: usize>(numbers: &[f32; LEN], scale: f32) -> Option<Signed<LEN, 1>> {
    let d = half(scale)?;
    let inverse = inverse(d.to_f32());
    Some(Signed {
        d: d.to_le_bytes(),
        factors: [0],
        quants: numbers.map(|number| Q::bits(Q::nearest(number * inverse))),
    })
}

/// `GROUPS` groups of `N`, whose scales are `d` times their factors `F`.
#[inline(always)]
pub(super) fn signed_groups<Q: Codes, F: Codes, const LEN: usize, const GROUPS: usize, const N: usize>(
    numbers: &[f32; LEN],
) -> Option<Signed<LEN, GROUPS>> {
    let groups = numbers.as_chunks::<N>().0;
    let mut scales = [0.0; GROUPS];
    for (scale, group) in scales.iter_mut().zip(groups) {
        *scale = fit::<Q, N>(group)?;
    }
    let d = half(extreme(&scales) / F::LOW)?;
    let (inverse_d, d_number) = (inverse(d.to_f32()), d.to_f32());
    let (mut factors, mut quants) = ([F::bits(0.0); GROUPS], [Q::bits(Q::nearest(0.0)); LEN]);
    for (g, group) in groups.iter().enumerate() {
        let nearest = F::nearest(scales[g] * inverse_d);
        let mut tried = [0.0; FACTORS];
        for (i, tried) in tried.iter_mut().enumerate() {
            *tried = clamped(nearest + i as f32 - (FACTORS / 2) as f32, F::LOW, F::HIGH);
        }
        let factor = tried[least_error::<Q, N>(group, &tried.map(|factor| d_number * factor), &[0.0; FACTORS])];
        factors[g] = F::bits(factor);
        let inverse = inverse(d_number * factor);
        for (quant, number) in quants[g * N..].iter_mut().zip(group) {
            *quant = Q::bits(Q::nearest(number * inverse));
        }
    }
    Some(Signed { d: d.to_le_bytes(), factors, quants })
}

/// One group, one scale, one min of any sign.
#[inline(always)]
pub(super) fn with_min<Q: Codes, const LEN: usize>(numbers: &[f32; LEN]) -> Option<WithMins<LEN, 1>> {
    let (low, high) = range(numbers, f32::INFINITY, f32::NEG_INFINITY);
    if low.abs() >= LARGEST || high.abs() >= LARGEST {
        return None;
    }
    // Around their middle, where sums of squares lose least.
    let middle = low / 2.0 + high / 2.0;
    let (scale, min) = fit_with_min::<Q, LEN>(&numbers.map(|number| number - middle));
    let (d, dmin) = (half(scale)?, half(min - middle)?);
    let (inverse, min) = (inverse(d.to_f32()), dmin.to_f32());
    Some(WithMins {
        d: d.to_le_bytes(),
        dmin: dmin.to_le_bytes(),
        factors: [0],
        min_factors: [0],
        quants: numbers.map(|number| Q::bits(Q::nearest((number + min) * inverse))),
    })
}

/// `GROUPS` groups of `N`, whose scales and mins are `d` and `dmin` times factors `F`.
#[inline(always)]
pub(super) fn groups_with_mins<Q: Codes, F: Codes, const LEN: usize, const GROUPS: usize, const N: usize>(
    numbers: &[f32; LEN],
) -> Option<WithMins<LEN, GROUPS>> {
    let groups = numbers.as_chunks::<N>().0;
    let (mut scales, mut mins) = ([0.0; GROUPS], [0.0; GROUPS]);
    for (g, group) in groups.iter().enumerate() {
        if extreme(group).abs() >= LARGEST {
            return None;
        }
        (scales[g], mins[g]) = fit_with_min::<Q, N>(group);
    }
    let (d, dmin) = (half(extreme(&scales) / F::HIGH)?, half(extreme(&mins) / F::HIGH)?);
    let (d_number, dmin_number) = (d.to_f32(), dmin.to_f32());
    let (inverse_d, inverse_dmin) = (inverse(d_number), inverse(dmin_number));
    let (mut factors, mut min_factors, mut quants) = ([0; GROUPS], [0; GROUPS], [0; LEN]);
    for (g, group) in groups.iter().enumerate() {
        let (factor, min_factor) = (F::nearest(scales[g] * inverse_d), F::nearest(mins[g] * inverse_dmin));
        // Four of each, together.
        let (mut tried, mut tried_mins) = ([0.0; FACTORS], [0.0; FACTORS]);
        for i in 0..FACTORS {
            tried[i] = clamped(factor + (i % 4) as f32 - 2.0, F::LOW, F::HIGH);
            tried_mins[i] = clamped(min_factor + (i / 4) as f32 - 2.0, F::LOW, F::HIGH);
        }
        let best = least_error::<Q, N>(
            group,
            &tried.map(|factor| d_number * factor),
            &tried_mins.map(|factor| dmin_number * factor),
        );
        (factors[g], min_factors[g]) = (F::bits(tried[best]), F::bits(tried_mins[best]));
        let (inverse, min) = (inverse(d_number * tried[best]), dmin_number * tried_mins[best]);
        for (quant, number) in quants[g * N..].iter_mut().zip(group) {
            *quant = Q::bits(Q::nearest((number + min) * inverse));
        }
    }
    Some(WithMins { d: d.to_le_bytes(), dmin: dmin.to_le_bytes(), factors, min_factors, quants })
}

#[inline(always)]
fn half(number: f32) -> Option<f16> {
    Some(f16::from_f32(number)).filter(|half| half.is_finite())
}

/// Of a scale of zero, with which all is zero, a zero.
#[inline(always)]
fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The number of the largest magnitude, with its sign.
#[inline(always)]
fn extreme<const N: usize>(numbers: &[f32; N]) -> f32 {
    let (low, high) = range(numbers, 0.0, 0.0);
    if -low > high { low } else { high }
}

/// The least and the largest number, and these.
#[inline(always)]
fn range<const N: usize>(numbers: &[f32; N], mut low: f32, mut high: f32) -> (f32, f32) {
    for number in numbers {
        low = if *number < low { *number } else { low };
        high = if *number > high { *number } else { high };
    }
    (low, high)
}

/// The scale with the least error. `None` if numbers are too large for any format.
///
/// With the quants `q` of numbers `w` held, the best scale is <w, q> / <q, q>, which leaves <w, w> - <w, q>^2 / <q, q>.
#[inline(always)]
fn fit<Q: Codes, const N: usize>(numbers: &[f32; N]) -> Option<f32> {
    let extreme = extreme(numbers);
    if extreme.abs() >= LARGEST {
        return None;
    }
    if extreme.abs() < LEAST {
        return Some(0.0);
    }
    // The quant, in part beyond the ends, which the extreme number becomes.
    let mut inverse = [0.0; TRIES];
    for i in 0..TRIES / 2 {
        let step = Q::STEP * i as f32;
        inverse[i] = (Q::LOW - Q::STEP + 0.2 * step) / extreme;
        inverse[i + TRIES / 2] = (Q::HIGH + 0.5 * Q::STEP - 0.13 * step) / extreme;
    }
    let (mut products, mut squares) = ([0.0; TRIES], [0.0; TRIES]);
    for number in numbers {
        for t in 0..TRIES {
            let quant = Q::nearest(number * inverse[t]);
            products[t] += number * quant;
            squares[t] += quant * quant;
        }
    }
    let (mut gain, mut scale) = (0.0, 0.0);
    for (product, square) in products.into_iter().zip(squares) {
        let (product, square): (f32, f32) = (product, square);
        if product * product > gain * square {
            gain = product * product / square;
            scale = product / square;
        }
    }
    Some(scale)
}

/// The scale and the min, no less than 0, with the least error.
///
/// With the quants `q` of numbers `w` held, they solve the two normal equations, and leave <w, w> - s <w, q> + m <w, 1>.
#[inline(always)]
fn fit_with_min<Q: Codes, const N: usize>(numbers: &[f32; N]) -> (f32, f32) {
    let (low, high) = range(numbers, 0.0, 0.0);
    let range = high - low;
    if range < LEAST {
        return (0.0, -low);
    }
    let (mut inverse, mut start) = ([0.0; TRIES], [0.0; TRIES]);
    for t in 0..TRIES {
        // Quants up to one beyond the last, or two before it, and the least number at 0 or half a quant below.
        inverse[t] = (Q::HIGH - 2.0 + 0.2 * (t / 2) as f32) / range;
        start[t] = -low * inverse[t] - 0.5 * (t % 2) as f32;
    }
    let (mut sums, mut squares, mut products) = ([0.0; TRIES], [0.0; TRIES], [0.0; TRIES]);
    let mut sum = 0.0;
    for number in numbers {
        sum += number;
        for t in 0..TRIES {
            let quant = Q::nearest(number * inverse[t] + start[t]);
            sums[t] += quant;
            squares[t] += quant * quant;
            products[t] += number * quant;
        }
    }
    let n = N as f32;
    // At first all are the same.
    let mut min = if sum < 0.0 { -sum / n } else { 0.0 };
    let (mut gain, mut scale) = (n * min * min, 0.0);
    for t in 0..TRIES {
        let (sums, squares, products): (f32, f32, f32) = (sums[t], squares[t], products[t]);
        let determinant = n * squares - sums * sums;
        let (mut tried, mut tried_min) =
            ((n * products - sum * sums) / determinant, (sums * products - squares * sum) / determinant);
        if determinant <= 0.0 || tried_min < 0.0 {
            (tried, tried_min) = (products / squares, 0.0);
        }
        let tried_gain = tried * products - tried_min * sum;
        if tried > 0.0 && tried_gain > gain {
            (gain, scale, min) = (tried_gain, tried, tried_min);
        }
    }
    (scale, min)
}

/// Which of some scales with mins has the least error.
#[inline(always)]
pub(super) fn least_error<Q: Codes, const N: usize>(
    numbers: &[f32; N],
    scales: &[f32; FACTORS],
    mins: &[f32; FACTORS],
) -> usize {
    let inverse = scales.map(inverse);
    let mut errors = [0.0; FACTORS];
    for number in numbers {
        for t in 0..FACTORS {
            let moved = number + mins[t];
            let error = moved - Q::nearest(moved * inverse[t]) * scales[t];
            errors[t] += error * error;
        }
    }
    let mut best = 0;
    for t in 1..FACTORS {
        best = if errors[t] < errors[best] { t } else { best };
    }
    best
}
