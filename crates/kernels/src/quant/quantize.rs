//! The scale of a group, and the quants nearest to its numbers.

use bytemuck::cast_slice_mut;
use half::f16;

use super::{
    GROUP_SIZE, QuantFormat, ZERO_POINTS_PER_WORD,
    blocks::{Codes, E2m1, pack},
};
use crate::isa::vectorized;

/// Zero points that are tried, around where zero lies in the group's range, ...
const ZEROS: usize = 4;

/// ... with as many scales each: by these parts of the least one that clips nothing. The first is a little more than one,
/// since other scales may suit the other numbers better, and the last clips more than it gains.
const CLIPS: [f32; 8] = [1.04, 0.99, 0.945, 0.9, 0.86, 0.82, 0.78, 0.74];

const TRIES: usize = ZEROS * CLIPS.len();

/// A group's scale, its zero point, and its quants without the zero point.
type Group = (f16, f32, [f32; GROUP_SIZE]);

/// Quantizes one row. Returns the index of the first number that cannot be quantized, if there is one.
pub(super) fn quantize_row(
    values: &[f32],
    format: QuantFormat,
    quants: &mut [i32],
    scales: &mut [f16],
    zero_points: &mut [i32],
) -> Option<usize> {
    let quants: &mut [u8] = cast_slice_mut(quants);
    vectorized(
        #[inline(always)]
        || {
            let stored = quants.chunks_exact_mut(format.group_bytes()).zip(&mut *scales);
            let groups = values.chunks(GROUP_SIZE).enumerate();
            for ((i, values), (quants, scale)) in groups.zip(stored) {
                let mut group = [0.0; GROUP_SIZE];
                group[..values.len()].copy_from_slice(values);
                let quantized = match format {
                    QuantFormat::Int8 => int8(&group),
                    QuantFormat::Int4 => int4(&group),
                    QuantFormat::Mxfp4 => mxfp4(&group),
                };
                let Some((best, zero, quantized)) = quantized else {
                    return Some(i * GROUP_SIZE + failed(&group));
                };
                *scale = best;
                match format {
                    QuantFormat::Mxfp4 => pack::<1, 4>(&quantized.map(E2m1::bits), 0, quants),
                    _ => store(&quantized, zero, format, quants),
                }
                if format == QuantFormat::Int4 {
                    let word = &mut zero_points[i / ZERO_POINTS_PER_WORD];
                    *word |= (zero as i32) << (4 * (i % ZERO_POINTS_PER_WORD));
                }
            }
            None
        },
    )
}

/// Adds the zero point to quants, and stores them where the format has them.
#[inline(always)]
fn store(quants: &[f32; GROUP_SIZE], zero: f32, format: QuantFormat, stored: &mut [u8]) {
    // Through bits, since a cast checks its range, and in two steps, which compilers make vectors of.
    let mut words = [0; GROUP_SIZE];
    for (word, quant) in words.iter_mut().zip(quants) {
        *word = (quant + zero + ROUND).to_bits();
    }
    let mut bytes = [0; GROUP_SIZE];
    for (byte, word) in bytes.iter_mut().zip(words) {
        *byte = word as u8;
    }
    match format {
        QuantFormat::Int8 => stored.copy_from_slice(&bytes),
        QuantFormat::Int4 | QuantFormat::Mxfp4 => {
            for (two, [first, second]) in stored.iter_mut().zip(bytes.as_chunks().0) {
                *two = first | second << 4;
            }
        }
    }
}

/// `None` if there is no scale.
fn mxfp4(group: &[f32; GROUP_SIZE]) -> Option<Group> {
    let largest = f32::from_bits(max_magnitude(group));
    if !largest.is_finite() {
        return None;
    }
    if largest == 0.0 {
        return Some((f16::ZERO, 0.0, [0.0; GROUP_SIZE]));
    }
    // The power of two in the largest magnitude, and 8 of the scale in it.
    let power = f64::from(largest).log2().floor() as i32;
    let scale = f16::from_f32(2f32.powi((power - 3).max(-24)));
    let scale = Some(scale).filter(|scale| scale.is_finite())?;
    Some((scale, 0.0, group.map(|number| E2m1::nearest(number / scale.to_f32()))))
}

/// The number for which a group cannot be quantized: the first that is not finite, or else the largest.
pub(super) fn failed<const N: usize>(group: &[f32; N]) -> usize {
    let largest = f32::from_bits(max_magnitude(group));
    let infinite = group.iter().position(|number| !number.is_finite());
    let failed = infinite.or_else(|| group.iter().position(|number| number.abs() == largest));
    failed.unwrap_or_default()
}

/// The bits of the largest magnitude. Bits are in the order of the magnitudes, NaN above infinity: compilers make vectors of
/// this maximum.
#[inline(always)]
pub(crate) fn max_magnitude<const N: usize>(numbers: &[f32; N]) -> u32 {
    let mut max = 0;
    for number in numbers {
        max = max.max(number.to_bits() & !SIGN);
    }
    max
}

const SIGN: u32 = 1 << 31;

/// Added to a number of small magnitude, this leaves no bits for a fraction: the sum's lowest bits are the nearest integer.
pub(crate) const ROUND: f32 = 1.5 * (1 << 23) as f32;

/// To the nearest integer, of numbers far below 2^22.
#[inline(always)]
pub(super) fn round(number: f32) -> f32 {
    number + ROUND - ROUND
}

/// `None` if there is no scale.
#[inline(always)]
fn int8(group: &[f32; GROUP_SIZE]) -> Option<Group> {
    let largest = f32::from_bits(max_magnitude(group));
    let scale = min_scale(largest, 127.0)?;
    let zero = QuantFormat::Int8.offset() as f32;
    Some((scale, zero, nearest(group, scale.to_f32(), -127.0, 127.0)))
}

/// The least scale by which `largest` is at most `quant`, whose products with binary16 numbers are exact; `None` beyond them.
#[inline(always)]
fn min_scale(largest: f32, quant: f32) -> Option<f16> {
    let nearest = f16::from_f32(largest / quant);
    let scale = if nearest.to_f32() * quant < largest { f16::from_bits(nearest.to_bits() + 1) } else { nearest };
    scale.is_finite().then_some(scale)
}

/// The nearest quants from `min` to `max`; zeros by a scale of zero.
#[inline(always)]
fn nearest(group: &[f32; GROUP_SIZE], scale: f32, min: f32, max: f32) -> [f32; GROUP_SIZE] {
    let mut quants = [0.0; GROUP_SIZE];
    if scale != 0.0 {
        for (quant, number) in quants.iter_mut().zip(group) {
            *quant = round(clamped(number / scale, min, max));
        }
    }
    quants
}

/// Comparisons as the instructions do them, of numbers that are not NaN.
#[inline(always)]
pub(super) fn clamped(number: f32, min: f32, max: f32) -> f32 {
    let number = if number < min { min } else { number };
    if number > max { max } else { number }
}

/// `None` if there is no scale.
#[inline(always)]
fn int4(group: &[f32; GROUP_SIZE]) -> Option<Group> {
    if !f32::from_bits(max_magnitude(group)).is_finite() {
        return None;
    }
    let (low, high) = range(group);
    let plain = min_scale(high - low, LAST)?;
    if high == low {
        return Some((plain, QuantFormat::Int4.offset() as f32, [0.0; GROUP_SIZE]));
    }
    let zero = round(clamped(-low / plain.to_f32(), 0.0, LAST));
    let quants = nearest(group, plain.to_f32(), -zero, LAST - zero);
    let error = squared_error(group, plain.to_f32(), &quants);

    let (scale, better_zero) = promising(group, low, high);
    let scale = f16::from_f32(scale);
    if scale.is_finite() && scale != f16::ZERO {
        let better = nearest(group, scale.to_f32(), -better_zero, LAST - better_zero);
        if squared_error(group, scale.to_f32(), &better) < error {
            return Some((scale, better_zero, better));
        }
    }
    Some((plain, zero, quants))
}

/// The last of the 16 quants.
const LAST: f32 = 15.0;

/// The least and the largest number, zero among them. By halves, as vectors do.
#[inline(always)]
fn range(group: &[f32; GROUP_SIZE]) -> (f32, f32) {
    let (mut low, mut high) = (*group, *group);
    let mut half = GROUP_SIZE / 2;
    while half > 0 {
        for i in 0..half {
            low[i] = if low[i + half] < low[i] { low[i + half] } else { low[i] };
            high[i] = if high[i + half] > high[i] { high[i + half] } else { high[i] };
        }
        half /= 2;
    }
    (clamped(low[0], f32::MIN, 0.0), clamped(high[0], 0.0, f32::MAX))
}

/// The scale and the zero point that leave the least squared error, of those that are tried.
///
/// With the quants `q` of numbers `w` held, the best scale is <w, q> / <q, q>, which leaves an error of
/// <w, w> - <w, q>^2 / <q, q>.
#[inline(always)]
fn promising(group: &[f32; GROUP_SIZE], low: f32, high: f32) -> (f32, f32) {
    let first = (LAST * -low / (high - low)).floor() - 1.0;
    let (below, above) = (1.0 / low.abs(), 1.0 / high.abs());
    let (mut zeros, mut inverses, mut rounds) = ([0.0; TRIES], [0.0; TRIES], [0.0; TRIES]);
    for t in 0..TRIES {
        zeros[t] = clamped(first + (t % ZEROS) as f32, 0.0, LAST);
        // Numbers up to half a quant beyond the last one are rounded to it; a part of that is a good start.
        let (below, above) = ((zeros[t] + 0.3) * below, (LAST - zeros[t] + 0.3) * above);
        inverses[t] = if below < above { below } else { above } * const { inverse_clips() }[t];
        rounds[t] = ROUND + zeros[t];
    }
    let (mut products, mut squares) = ([0.0; TRIES], [0.0; TRIES]);
    for number in group {
        for t in 0..TRIES {
            let quant = clamped(number * inverses[t] + zeros[t], 0.0, LAST) + ROUND - rounds[t];
            products[t] += number * quant;
            squares[t] += quant * quant;
        }
    }
    let (mut gains, mut scales) = ([0.0; TRIES], [0.0; TRIES]);
    for t in 0..TRIES {
        let (product, square): (f32, f32) = (products[t], squares[t]);
        scales[t] = if square > 0.0 { product / square } else { 0.0 };
        gains[t] = product * scales[t];
    }
    let mut half = TRIES / 2;
    while half > 0 {
        for t in 0..half {
            let is_better = gains[t + half] > gains[t];
            gains[t] = if is_better { gains[t + half] } else { gains[t] };
            scales[t] = if is_better { scales[t + half] } else { scales[t] };
            zeros[t] = if is_better { zeros[t + half] } else { zeros[t] };
        }
        half /= 2;
    }
    (scales[0], zeros[0])
}

const fn inverse_clips() -> [f32; TRIES] {
    let mut inverses = [0.0; TRIES];
    let mut t = 0;
    while t < TRIES {
        inverses[t] = 1.0 / CLIPS[t / ZEROS];
        t += 1;
    }
    inverses
}

#[inline(always)]
fn squared_error(group: &[f32; GROUP_SIZE], scale: f32, quants: &[f32; GROUP_SIZE]) -> f32 {
    let mut errors = [0.0; GROUP_SIZE];
    for ((error, number), quant) in errors.iter_mut().zip(group).zip(quants) {
        *error = number - scale * quant;
    }
    dot(&errors, &errors)
}

/// Sums by halves: vectors can keep that order.
#[inline(always)]
fn dot(a: &[f32; GROUP_SIZE], b: &[f32; GROUP_SIZE]) -> f32 {
    let mut products = [0.0; GROUP_SIZE];
    for ((product, a), b) in products.iter_mut().zip(a).zip(b) {
        *product = a * b;
    }
    let mut half = GROUP_SIZE / 2;
    while half > 0 {
        for i in 0..half {
            products[i] += products[i + half];
        }
        half /= 2;
    }
    products[0]
}
