use half::f16;

use super::*;
use crate::testing::random;

const COLUMNS: [usize; 9] = [1, 2, 31, 32, 33, 64, 172, 512, 1000];

/// Quantized, and what comes back.
fn try_quantized(values: &[f32], columns: usize, format: QuantFormat) -> Result<(Quantized, Vec<f32>), NotQuantizable> {
    let quantized = quantize(values, columns, format)?;
    let mut dequantized = vec![f32::NAN; values.len()];
    dequantize(quantized.view(), &mut dequantized);
    Ok((quantized, dequantized))
}

fn quantized(values: &[f32], columns: usize, format: QuantFormat) -> (Quantized, Vec<f32>) {
    try_quantized(values, columns, format).unwrap()
}

/// Number `at` of `bits` bits in some words: the format's definition.
fn nth(words: &[i32], at: usize, bits: usize) -> i32 {
    let word = words[at * bits / 32] as u32 >> (at * bits % 32);
    (word & ((1 << bits) - 1)) as i32
}

/// One quant of a row as the format defines it, less its zero point.
fn quant(words: &[i32], at: usize, format: QuantFormat, zero: i32) -> i32 {
    let bits = nth(words, at, format.bits());
    match format {
        QuantFormat::Mxfp4 => {
            // Sign, two bits of exponent and one of mantissa; without exponent there is no leading 1.
            let (exponent, mantissa) = (bits >> 1 & 3, bits & 1);
            let magnitude = if exponent == 0 { mantissa } else { (2 + mantissa) << (exponent - 1) };
            if bits & 8 == 0 { magnitude } else { -magnitude }
        }
        _ => bits - zero,
    }
}

fn squares(errors: impl Iterator<Item = f64>) -> f64 {
    errors.map(|error| error * error).sum()
}

/// The bounds that [`quantize`] states, and what [`dequantize`] reads against the definition.
fn check(values: &[f32], columns: usize) {
    for format in [QuantFormat::Int4, QuantFormat::Int8, QuantFormat::Mxfp4] {
        let (matrix, dequantized) = quantized(values, columns, format);
        for (row, (values, dequantized)) in values.chunks(columns).zip(dequantized.chunks(columns)).enumerate() {
            let quants = &matrix.quants[row * words(columns, format)..];
            for (b, scale) in matrix.scales[row * groups(columns)..][..groups(columns)].iter().enumerate() {
                let zero = match format {
                    QuantFormat::Int4 => nth(&matrix.zero_points[row * zero_words(columns, format)..], b, 4),
                    _ => 128,
                };
                let range = b * GROUP_SIZE..columns.min((b + 1) * GROUP_SIZE);
                for at in range.end..(b + 1) * GROUP_SIZE {
                    assert_eq!(quant(quants, at, format, zero), 0, "the rest of a group is zeros");
                }
                let scale = f64::from(scale.to_f32());
                assert!(scale.is_finite() && scale >= 0.0);
                for i in range.clone() {
                    let quant = quant(quants, i, format, zero);
                    assert_eq!(dequantized[i], (f64::from(quant) * scale) as f32);
                    assert!(quant != -128 && (scale != 0.0 || quant == 0));
                    assert!(values[i] != 0.0 || quant == 0, "zero stays zero");
                }
                let group: Vec<f64> = values[range.clone()].iter().map(|v| f64::from(*v)).collect();
                let errors: Vec<f64> = group
                    .iter()
                    .zip(&dequantized[range])
                    .map(|(value, dequantized)| (value - f64::from(*dequantized)).abs())
                    .collect();
                check_errors(format, scale, f64::from(zero), &group, &errors);
            }
        }
    }
}

fn check_errors(format: QuantFormat, scale: f64, zero: f64, group: &[f64], errors: &[f64]) {
    let largest = group.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
    let rounding = 1.0 + 2f64.powi(-16);
    match format {
        QuantFormat::Int8 => {
            let scale_bound = largest / 127.0 * (1.0 + 2f64.powi(-10)) + 2f64.powi(-24);
            assert!(scale <= scale_bound, "{scale} for {largest}");
            for error in errors {
                assert!(*error <= scale / 2.0 * rounding, "{error} by scale {scale}");
            }
        }
        QuantFormat::Mxfp4 => {
            let nearest = |value: f64| {
                let off = E2M1.map(|quant| (f64::from(quant) * scale - value).abs());
                off.into_iter().fold(f64::INFINITY, f64::min)
            };
            for (value, error) in group.iter().zip(errors) {
                assert!(*error <= nearest(*value) * rounding + scale * 1e-6, "{error} by scale {scale}");
            }
            assert!(scale == 0.0 || scale.log2().fract() == 0.0, "{scale} is no power of two");
            let held = largest == 0.0 || largest < 2f64.powi(-20) || (8.0..16.0).contains(&(largest / scale));
            assert!(held, "{largest} by {scale}");
        }
        QuantFormat::Int4 => {
            // The scale that clips nothing, with which numbers are off by half a scale at most.
            let low = group.iter().fold(0.0_f64, |min, value| min.min(*value)) as f32;
            let high = group.iter().fold(0.0_f64, |max, value| max.max(*value)) as f32;
            let range = f64::from(high - low);
            let mut plain = f16::from_f64(range / 15.0);
            if plain.to_f64() * 15.0 < range {
                plain = f16::from_bits(plain.to_bits() + 1);
            }
            let plain = plain.to_f64();
            let plain_zero = if plain == 0.0 { 0.0 } else { (f64::from(-low) / plain).round_ties_even().min(15.0) };
            let plain_errors = group.iter().map(|value| nearest(*value, plain, plain_zero));
            for error in plain_errors.clone() {
                assert!(error <= plain / 2.0 * rounding, "{error} by plain scale {plain}");
            }
            let (found, plain) = (squares(errors.iter().copied()), squares(plain_errors));
            assert!(found <= plain * rounding, "{found} is more than {plain}");
            // Quants are the nearest that there are by the scale that was found.
            for (value, error) in group.iter().zip(errors) {
                assert!(*error <= nearest(*value, scale, zero) * rounding + scale * 1e-6);
            }
        }
    }
}

/// The error of a number with its nearest quant in 4 bits.
fn nearest(value: f64, scale: f64, zero: f64) -> f64 {
    let quant = if scale == 0.0 { 0.0 } else { (value / scale + zero).round_ties_even().clamp(0.0, 15.0) - zero };
    (value - quant * scale).abs()
}

#[test]
fn numbers_come_back_within_their_bounds() {
    for columns in COLUMNS {
        for rows in [1, 3, 20] {
            let mut values = random(rows * columns, columns as u64);
            check(&values, columns);
            // Many sizes within a group, and with a large mean.
            for (i, value) in values.iter_mut().enumerate() {
                *value *= 2f32.powi((i % 23) as i32 - 14);
            }
            check(&values, columns);
            values.iter_mut().for_each(|value| *value += 1.0);
            check(&values, columns);
        }
    }
}

#[test]
fn unusual_groups_come_back_within_their_bounds() {
    let tiny = f32::from_bits(1);
    let mut groups = vec![
        vec![0.0; 32],
        vec![-0.0; 7],
        vec![tiny; 32],
        vec![f32::MIN_POSITIVE, -tiny, 0.0],
        vec![2f32.powi(-25); 32],
        vec![-(2f32.powi(-24)) * 1.5; 32],
        vec![1e-7, -3e-7, 2e-8],
        vec![-1.0; 32],
        vec![1.0; 32],
        vec![1.0, -1.0],
        vec![-7.99, 8.0, 7.5, -7.5],
        vec![65504.0 * 8.0, 1.0, -65504.0],
        vec![-65504.0 * 8.0; 32],
    ];
    let mut outlier = random(32, 5);
    outlier[17] = -3e4;
    groups.push(outlier);
    for group in &groups {
        check(group, group.len());
    }
    // Zeros take no scale, and numbers beyond the smallest scale are zeros.
    for format in [QuantFormat::Int4, QuantFormat::Int8] {
        assert_eq!(quantized(&[0.0; 40], 40, format).0.scales, [f16::ZERO; 2]);
        assert_eq!(quantized(&[1e-30; 40], 40, format).1, [0.0; 40]);
    }
}

/// Against symmetric quants from -8 to 7, and against the plain scale and zero point.
#[test]
fn int4_gains_by_zero_points_and_by_the_search() {
    let sum = |n: u64, seed: u64| {
        let all: Vec<Vec<f32>> = (0..n).map(|i| random(1 << 14, 10 * seed + i)).collect();
        (0..1 << 14).map(|at| all.iter().map(|numbers| numbers[at]).sum()).collect::<Vec<f32>>()
    };
    for (name, values) in [("flat", sum(1, 1)), ("bell", sum(6, 2))] {
        let by = |scale: fn(&[f32]) -> (f32, f32)| {
            let errors = values.chunks(GROUP_SIZE).flat_map(|group| {
                let (scale, zero) = scale(group);
                group.iter().map(move |v| nearest(f64::from(*v), f64::from(scale), f64::from(zero)))
            });
            squares(errors)
        };
        let symmetric = by(|group| {
            let extreme = group.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            (extreme.unwrap() / -8.0, 8.0)
        });
        let plain = by(|group| {
            let (low, high) = group.iter().fold((0.0_f32, 0.0_f32), |(low, high), v| (low.min(*v), high.max(*v)));
            let scale = (high - low) / 15.0;
            (scale, (-low / scale).round())
        });
        let (_, dequantized) = quantized(&values, 512, QuantFormat::Int4);
        let found = squares(values.iter().zip(dequantized).map(|(a, b)| f64::from(a - b)));
        assert!(found < 0.9 * symmetric, "{name}: {found}, symmetric {symmetric}");
        assert!(found < 0.95 * plain, "{name}: {found}, plain {plain}");
    }
    // On one side of zero all 16 quants serve.
    let values: Vec<f32> = random(1 << 12, 4).into_iter().map(|x| x + 1.0).collect();
    let (_, dequantized) = quantized(&values, 64, QuantFormat::Int4);
    for (value, number) in values.iter().zip(dequantized) {
        assert!((value - number).abs() < 2.0 / 15.0, "{number} of {value}");
    }
}

#[test]
fn the_layout_is_that_of_packed_words() {
    let mut values = vec![0.0; 33];
    (values[0], values[1], values[4], values[32]) = (127.0, -127.0, 3.0, 127.0);
    let (eight, _) = quantized(&values, 33, QuantFormat::Int8);
    assert_eq!(eight.scales, [f16::ONE; 2]);
    assert_eq!((eight.quants.len(), eight.zero_points.len()), (words(33, QuantFormat::Int8), 0));
    let bytes: Vec<u8> = eight.quants.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(bytes[..6], [255, 1, 128, 128, 131, 128]);
    assert_eq!(bytes[32..], [[255].as_slice(), &[128; 31]].concat());

    (values[0], values[1], values[4], values[32]) = (-8.0, 7.0, 3.0, -15.0);
    let (four, _) = quantized(&values, 33, QuantFormat::Int4);
    assert_eq!(four.scales, [f16::ONE; 2]);
    assert_eq!(four.zero_points, [0xf8]);
    let bytes: Vec<u8> = four.quants.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(bytes[..4], [0xf0, 0x88, 0x8b, 0x88]);
    assert_eq!(bytes[16..], [[0xf0].as_slice(), &[0xff; 15]].concat());
}

/// Other programs may write quants that this one does not.
#[test]
fn every_quant_and_every_zero_point_is_read() {
    let quants: Vec<i32> = (0..64).map(|i| i32::from_le_bytes([0, 1, 2, 3].map(|j| 4 * i + j))).collect();
    let mut out = vec![0.0; 256];
    dequantize(QuantizedMatrix::new(QuantFormat::Int8, &quants, &[f16::from_f32(0.5); 8], &[], 256), &mut out);
    let expected: Vec<f32> = (-128..128).map(|quant| quant as f32 / 2.0).collect();
    assert_eq!(out, expected);

    let columns = 16 * GROUP_SIZE;
    let quants: Vec<i32> = [0x7654_3210, 0xfedc_ba98_u32 as i32].repeat(columns / 16);
    let zeros = [0x7654_3210, 0xfedc_ba98_u32 as i32];
    let mut out = vec![0.0; columns];
    dequantize(QuantizedMatrix::new(QuantFormat::Int4, &quants, &[f16::from_f32(0.5); 16], &zeros, columns), &mut out);
    for (at, number) in out.iter().enumerate() {
        assert_eq!(*number, ((at % 16) as f32 - (at / GROUP_SIZE) as f32) / 2.0);
    }
}

#[test]
fn numbers_that_cannot_be_quantized_are_named() {
    for format in [QuantFormat::Int4, QuantFormat::Int8] {
        for (at, bad) in [(70, f32::NAN), (5, f32::INFINITY), (199, f32::NEG_INFINITY)] {
            let mut values = vec![1.0; 200];
            values[at] = bad;
            values[100] = 9.0;
            let error = try_quantized(&values, 50, format).err().unwrap();
            assert!(
                matches!(error, NotQuantizable::NotFinite { index, value } if index == at && value.to_bits() == bad.to_bits())
            );
            assert!(error.to_string().contains(&format!("number {at} is {bad}")));
        }
        let largest = 65504.0 * if format == QuantFormat::Int4 { 15.0 } else { 127.0 };
        assert!(try_quantized(&[0.0, -largest], 2, format).is_ok());
        let error = try_quantized(&[1.0, -largest * 1.01, 0.0, f32::NAN], 2, format).err();
        let value = -largest * 1.01;
        assert_eq!(error, Some(NotQuantizable::TooLarge { index: 1, value, format: format.name() }));
    }
}

#[test]
fn no_numbers_are_quantized_to_nothing() {
    for format in [QuantFormat::Int4, QuantFormat::Int8] {
        for columns in [7, 0] {
            let (none, _) = quantized(&[], columns, format);
            assert_eq!((none.quants.len(), none.scales.len(), none.zero_points.len()), (0, 0, 0));
        }
        let none = QuantizedMatrix::new(format, &[], &[], &[], 0);
        assert_eq!((none.rows(), none.row_bytes()), (0, 0));
    }
}

#[test]
fn formats_have_eight_or_four_bits() {
    for format in [QuantFormat::Int4, QuantFormat::Int8] {
        assert_eq!(QuantFormat::try_from(format.bits()), Ok(format));
        assert_eq!(format.to_string(), format.bits().to_string());
    }
    assert_eq!((QuantFormat::Int4.per_word(), QuantFormat::Int4.offset()), (8, 8));
    assert_eq!((QuantFormat::Int8.per_word(), QuantFormat::Int8.offset()), (4, 128));
    let error = QuantFormat::try_from(3).unwrap_err();
    assert_eq!(error.to_string(), "weights do not come in 3 bits: use 8 or 4");
}

#[test]
#[should_panic(expected = "scales are [rows, groups]")]
fn contradicting_lengths_panic() {
    QuantizedMatrix::new(QuantFormat::Int8, &[0; 16], &[f16::ONE], &[], 33);
}
