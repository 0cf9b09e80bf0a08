//! Finding a block's scale and the codes nearest to its numbers.

use bytemuck::cast_slice_mut;
use half::f16;

use super::{BLOCK, Bits};

/// Where the number of largest magnitude is tried on the scale of 4-bit codes: around -8, its code by the plain scale, which
/// the other numbers of a block may well gain by leaving, and at the other end.
const EXTREMES: [f32; 16] = [
    -8.8, -8.6, -8.4, -8.2, -8.0, -7.8, -7.6, -7.4, -7.2, -7.0, -6.8, -6.6, 6.8, 7.0, 7.2, 7.4,
];

/// One row. The index of the first number that cannot be encoded, if there is one.
pub(super) fn encode_row(
    values: &[f32],
    bits: Bits,
    codes: &mut [i32],
    scales: &mut [f16],
) -> Option<usize> {
    let codes: &mut [u8] = cast_slice_mut(codes);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let stored = codes.chunks_exact_mut(bits.block_bytes()).zip(scales);
            for ((i, values), (codes, scale)) in values.chunks(BLOCK).enumerate().zip(stored) {
                let mut block = [0.0; BLOCK];
                block[..values.len()].copy_from_slice(values);
                let encoded = match bits {
                    Bits::Eight => eight(&block),
                    Bits::Four => four(&block),
                };
                let Some((best, code)) = encoded else {
                    return Some(i * BLOCK + failed(&block));
                };
                *scale = best;
                store(&code, bits, codes);
            }
            None
        },
    )
}

/// Codes with their offset, in the places that the format gives them.
#[inline(always)]
fn store(code: &[f32; BLOCK], bits: Bits, codes: &mut [u8]) {
    let offset = bits.offset() as f32;
    // Through bits, since a cast checks its range, and in two steps, which compilers make vectors of.
    let mut words = [0; BLOCK];
    for (word, code) in words.iter_mut().zip(code) {
        *word = (code + offset + ROUND).to_bits();
    }
    let mut bytes = [0; BLOCK];
    for (byte, word) in bytes.iter_mut().zip(words) {
        *byte = word as u8;
    }
    match bits {
        Bits::Eight => codes.copy_from_slice(&bytes),
        Bits::Four => {
            for (two, [first, second]) in codes.iter_mut().zip(bytes.as_chunks().0) {
                *two = first | second << 4;
            }
        }
    }
}

/// Which number a block cannot be encoded for: the first that is not finite, or else the largest.
fn failed(block: &[f32; BLOCK]) -> usize {
    let largest = f32::from_bits(largest(block));
    let finite = |number: &f32| number.is_finite();
    let found = match block.iter().all(finite) {
        true => block.iter().position(|number| number.abs() == largest),
        false => block.iter().position(|number| !number.is_finite()),
    };
    found.unwrap_or_default()
}

/// The largest magnitude's bits, which are in the order of the magnitudes, NaN above infinity: a maximum that compilers make
/// vectors of.
#[inline(always)]
pub fn largest(numbers: &[f32; BLOCK]) -> u32 {
    let mut largest = 0;
    for number in numbers {
        largest = largest.max(number.to_bits() & !SIGN);
    }
    largest
}

const SIGN: u32 = 1 << 31;

/// Added to a number of small magnitude, this leaves no place for a fraction: the sum's lowest bits are the nearest integer.
pub const ROUND: f32 = 1.5 * (1 << 23) as f32;

/// To the nearest integer, of numbers far below 2^22.
#[inline(always)]
fn round(number: f32) -> f32 {
    number + ROUND - ROUND
}

/// `None` if there is no scale.
#[inline(always)]
fn eight(block: &[f32; BLOCK]) -> Option<(f16, [f32; BLOCK])> {
    let largest = f32::from_bits(largest(block));
    let scale = least_scale(largest, 127.0)?;
    Some((scale, codes(block, scale.to_f32(), -127.0, 127.0)))
}

/// The least scale by which `largest` is at most `code`, whose products with binary16 numbers are exact; `None` beyond them.
#[inline(always)]
fn least_scale(largest: f32, code: f32) -> Option<f16> {
    let nearest = f16::from_f32(largest / code);
    let scale = match nearest.to_f32() * code < largest {
        true => f16::from_bits(nearest.to_bits() + 1),
        false => nearest,
    };
    scale.is_finite().then_some(scale)
}

/// The nearest codes from `least` to `most`; zeros by a scale of zero.
#[inline(always)]
fn codes(block: &[f32; BLOCK], scale: f32, least: f32, most: f32) -> [f32; BLOCK] {
    let mut codes = [0.0; BLOCK];
    if scale != 0.0 {
        for (code, number) in codes.iter_mut().zip(block) {
            *code = round(clamped(number / scale, least, most));
        }
    }
    codes
}

/// Comparisons as the instructions do them, of numbers that are not NaN.
#[inline(always)]
fn clamped(number: f32, least: f32, most: f32) -> f32 {
    let number = if number < least { least } else { number };
    if number > most { most } else { number }
}

/// `None` if there is no scale.
#[inline(always)]
fn four(block: &[f32; BLOCK]) -> Option<(f16, [f32; BLOCK])> {
    let (least, most) = (-8.0, 7.0);
    let magnitude = f32::from_bits(largest(block));
    let plain = least_scale(magnitude, 8.0)?;
    if magnitude == 0.0 {
        return Some((plain, [0.0; BLOCK]));
    }
    let mut extreme = -magnitude;
    for number in block {
        extreme = if *number == magnitude {
            magnitude
        } else {
            extreme
        };
    }
    let plain = if extreme > 0.0 { -plain } else { plain };

    // With the codes `c` of numbers `w` held, the best scale is <w, c> / <c, c>, which leaves an error of
    // <w, w> - <w, c>^2 / <c, c>.
    let mut products = [0.0; EXTREMES.len()];
    let mut squares = [0.0; EXTREMES.len()];
    for number in block {
        let number = number / extreme;
        let sums = products.iter_mut().zip(&mut squares);
        for ((product, square), at) in sums.zip(EXTREMES) {
            let code = round(clamped(number * at, least, most));
            *product += number * code;
            *square += code * code;
        }
    }
    let (mut best_gain, mut best_scale) = (0.0, 0.0);
    for (product, square) in products.into_iter().zip(squares) {
        if product * product > best_gain * square {
            best_gain = product * product / square;
            best_scale = product / square * extreme;
        }
    }

    let mut best = (plain, codes(block, plain.to_f32(), least, most));
    let mut best_error = error(block, plain.to_f32(), &best.1);
    // Codes that are nearest by the better scale allow of a still better one.
    for _ in 0..2 {
        let scale = f16::from_f32(best_scale);
        if !scale.is_finite() || scale.to_f32() == 0.0 {
            break;
        }
        let code = codes(block, scale.to_f32(), least, most);
        let error = error(block, scale.to_f32(), &code);
        best_scale = dot(block, &code) / dot(&code, &code);
        if error < best_error {
            best_error = error;
            best = (scale, code);
        }
    }
    Some(best)
}

#[inline(always)]
fn error(block: &[f32; BLOCK], scale: f32, codes: &[f32; BLOCK]) -> f32 {
    let mut errors = [0.0; BLOCK];
    for ((error, number), code) in errors.iter_mut().zip(block).zip(codes) {
        *error = number - scale * code;
    }
    dot(&errors, &errors)
}

/// In halves, whose order is one that vectors can keep.
#[inline(always)]
fn dot(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> f32 {
    let mut products = [0.0; BLOCK];
    for ((product, a), b) in products.iter_mut().zip(a).zip(b) {
        *product = a * b;
    }
    let mut half = BLOCK / 2;
    while half > 0 {
        for i in 0..half {
            products[i] += products[i + half];
        }
        half /= 2;
    }
    products[0]
}
