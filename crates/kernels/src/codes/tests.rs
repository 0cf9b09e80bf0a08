use half::f16;

use super::*;
use crate::testing::random;

const COLUMNS: [usize; 9] = [1, 2, 31, 32, 33, 64, 172, 512, 1000];

struct Encoded {
    codes: Vec<i32>,
    scales: Vec<f16>,
    decoded: Vec<f32>,
}

fn try_encoded(values: &[f32], columns: usize, bits: Bits) -> Result<Encoded, NotEncodable> {
    let rows = values.len() / columns;
    let mut codes = vec![-1; rows * words(columns, bits)];
    let mut scales = vec![f16::NAN; rows * blocks(columns)];
    encode(values, columns, bits, &mut codes, &mut scales)?;
    let mut decoded = vec![f32::NAN; values.len()];
    decode(&codes, &scales, columns, bits, &mut decoded);
    Ok(Encoded {
        codes,
        scales,
        decoded,
    })
}

fn encoded(values: &[f32], columns: usize, bits: Bits) -> Encoded {
    try_encoded(values, columns, bits).unwrap()
}

/// One code of a row as the format defines it: by shifts of words.
fn code(words: &[i32], at: usize, bits: Bits) -> i32 {
    let word = words[at / bits.per_word()] as u32;
    let shifted = word >> (at % bits.per_word() * bits.bits());
    (shifted & ((1 << bits.bits()) - 1)) as i32 - bits.offset()
}

fn squares(errors: impl Iterator<Item = f64>) -> f64 {
    errors.map(|error| error * error).sum()
}

/// The bounds that [`encode`] states, and what [`decode`] reads against the definition.
fn check(values: &[f32], columns: usize) {
    for bits in [Bits::Four, Bits::Eight] {
        let Encoded {
            codes,
            scales,
            decoded,
        } = encoded(values, columns, bits);
        let stored = codes
            .chunks(words(columns, bits))
            .zip(scales.chunks(blocks(columns)));
        let rows = values.chunks(columns).zip(decoded.chunks(columns));
        for ((values, decoded), (codes, scales)) in rows.zip(stored) {
            for at in columns..blocks(columns) * BLOCK {
                assert_eq!(code(codes, at, bits), 0, "the rest of a block is zeros");
            }
            for (b, scale) in scales.iter().enumerate() {
                let range = b * BLOCK..columns.min((b + 1) * BLOCK);
                let scale = f64::from(scale.to_f32());
                assert!(scale.is_finite());
                for i in range.clone() {
                    let code = code(codes, i, bits);
                    assert_eq!(decoded[i], (f64::from(code) * scale) as f32);
                    assert!(code != -128 && (scale != 0.0 || code == 0));
                }
                let block: Vec<f64> = values[range.clone()]
                    .iter()
                    .map(|v| f64::from(*v))
                    .collect();
                let errors: Vec<f64> = block
                    .iter()
                    .zip(&decoded[range])
                    .map(|(value, decoded)| (value - f64::from(*decoded)).abs())
                    .collect();
                check_errors(bits, scale, &block, &errors);
            }
        }
    }
}

fn check_errors(bits: Bits, scale: f64, block: &[f64], errors: &[f64]) {
    let largest = block
        .iter()
        .fold(0.0_f64, |most, value| most.max(value.abs()));
    let rounding = 1.0 + 2f64.powi(-16);
    match bits {
        Bits::Eight => {
            let scale_bound = largest / 127.0 * (1.0 + 2f64.powi(-10)) + 2f64.powi(-24);
            assert!(scale <= scale_bound, "{scale} for {largest}");
            for error in errors {
                assert!(*error <= scale / 2.0 * rounding, "{error} by scale {scale}");
            }
        }
        Bits::Four => {
            // The plain scale, with which numbers are off by one scale at most, and by half if they have a code.
            let mut plain = f16::from_f64(largest / 8.0);
            if plain.to_f64() * 8.0 < largest {
                plain = f16::from_bits(plain.to_bits() + 1);
            }
            let positive = block.contains(&largest);
            let plain = if positive { -plain } else { plain }.to_f64();
            let plain_errors = block.iter().map(|value| match plain == 0.0 {
                true => *value,
                false => value - plain * (value / plain).round_ties_even().clamp(-8.0, 7.0),
            });
            for (value, error) in block.iter().zip(plain_errors.clone()) {
                let coded = plain != 0.0 && value / plain <= 7.5;
                let bound = if coded {
                    plain.abs() / 2.0
                } else {
                    plain.abs()
                };
                assert!(error.abs() <= bound, "{error} by plain scale {plain}");
            }
            let (found, plain) = (squares(errors.iter().copied()), squares(plain_errors));
            assert!(found <= plain * rounding, "{found} is more than {plain}");
            // Codes are the nearest that there are by the scale that was found.
            for (value, error) in block.iter().zip(errors) {
                let nearest = match scale == 0.0 {
                    true => 0.0,
                    false => (value / scale).round_ties_even().clamp(-8.0, 7.0),
                };
                let least = (value - nearest * scale).abs();
                assert!(*error <= least * rounding + scale.abs() * 1e-6);
            }
        }
    }
}

#[test]
fn numbers_come_back_within_their_bounds() {
    for columns in COLUMNS {
        for rows in [1, 3, 20] {
            let mut values = random(rows * columns, columns as u64);
            check(&values, columns);
            // Many sizes within a block, and with a large mean.
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
fn unusual_blocks_come_back_within_their_bounds() {
    let tiny = f32::from_bits(1);
    let mut blocks = vec![
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
    blocks.push(outlier);
    for block in &blocks {
        check(block, block.len());
    }
    // Zeros take no scale, and numbers beyond the smallest scale are zeros.
    for bits in [Bits::Four, Bits::Eight] {
        assert_eq!(encoded(&[0.0; 40], 40, bits).scales, [f16::ZERO; 2]);
        assert_eq!(encoded(&[1e-30; 40], 40, bits).decoded, [0.0; 40]);
    }
}

#[test]
fn four_bits_gain_by_the_search() {
    let values = random(1 << 14, 9);
    let error =
        |decoded: &[f32]| squares(values.iter().zip(decoded).map(|(a, b)| f64::from(a - b)));
    let plain: Vec<f32> = values
        .chunks(BLOCK)
        .flat_map(|block| {
            let extreme = block
                .iter()
                .copied()
                .max_by(|a, b| a.abs().total_cmp(&b.abs()));
            let scale = extreme.unwrap() / -8.0;
            let nearest = move |v: &f32| (v / scale).round().clamp(-8.0, 7.0) * scale;
            block.iter().map(nearest)
        })
        .collect();
    let found = error(&encoded(&values, 512, Bits::Four).decoded);
    assert!(found < 0.95 * error(&plain), "{found} of {}", error(&plain));
}

#[test]
fn the_layout_is_that_of_packed_words() {
    let mut values = vec![0.0; 33];
    (values[0], values[1], values[4], values[32]) = (127.0, -127.0, 3.0, 127.0);
    let eight = encoded(&values, 33, Bits::Eight);
    assert_eq!(eight.scales, [f16::ONE; 2]);
    assert_eq!(eight.codes.len(), words(33, Bits::Eight));
    let bytes: Vec<u8> = eight
        .codes
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    assert_eq!(bytes[..6], [255, 1, 128, 128, 131, 128]);
    assert_eq!(bytes[32..], [[255].as_slice(), &[128; 31]].concat());

    (values[0], values[1], values[4], values[32]) = (-8.0, 7.0, 3.0, -8.0);
    let four = encoded(&values, 33, Bits::Four);
    assert_eq!(four.scales, [f16::ONE; 2]);
    let bytes: Vec<u8> = four
        .codes
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    assert_eq!(bytes[..4], [0xf0, 0x88, 0x8b, 0x88]);
    assert_eq!(bytes[16..], [[0x80].as_slice(), &[0x88; 15]].concat());
}

/// Other programs may write codes that this one does not.
#[test]
fn every_code_is_read() {
    let codes: Vec<i32> = (0..64)
        .map(|i| i32::from_le_bytes([0, 1, 2, 3].map(|j| 4 * i + j)))
        .collect();
    let mut out = vec![0.0; 256];
    decode(&codes, &[f16::from_f32(0.5); 8], 256, Bits::Eight, &mut out);
    let expected: Vec<f32> = (-128..128).map(|code| code as f32 / 2.0).collect();
    assert_eq!(out, expected);
}

#[test]
fn numbers_without_a_code_are_named() {
    for bits in [Bits::Four, Bits::Eight] {
        for (at, bad) in [(70, f32::NAN), (5, f32::INFINITY), (199, f32::NEG_INFINITY)] {
            let mut values = vec![1.0; 200];
            values[at] = bad;
            values[100] = 9.0;
            let error = try_encoded(&values, 50, bits).err().unwrap();
            assert!(
                matches!(error, NotEncodable::NotFinite { index, value } if index == at && value.to_bits() == bad.to_bits())
            );
            assert!(error.to_string().contains(&format!("number {at} is {bad}")));
        }
        let largest = 65504.0 * if bits == Bits::Four { 8.0 } else { 127.0 };
        assert!(try_encoded(&[1.0, -largest], 2, bits).is_ok());
        let error = try_encoded(&[1.0, -largest * 1.01, 0.0, f32::NAN], 2, bits).err();
        let value = -largest * 1.01;
        assert_eq!(
            error,
            Some(NotEncodable::TooLarge {
                index: 1,
                value,
                bits
            })
        );
    }
}

#[test]
fn nothing_is_encoded_to_nothing() {
    for bits in [Bits::Four, Bits::Eight] {
        encode(&[], 7, bits, &mut [], &mut []).unwrap();
        encode(&[], 0, bits, &mut [], &mut []).unwrap();
        decode(&[], &[], 0, bits, &mut []);
        let none = Codes::new(bits, &[], &[], 0);
        assert_eq!((none.rows(), none.row_bytes()), (0, 0));
    }
}

#[test]
fn bits_are_eight_or_four() {
    for bits in [Bits::Four, Bits::Eight] {
        assert_eq!(Bits::try_from(bits.bits()), Ok(bits));
        assert_eq!(bits.to_string(), bits.bits().to_string());
    }
    assert_eq!((Bits::Four.per_word(), Bits::Four.offset()), (8, 8));
    assert_eq!((Bits::Eight.per_word(), Bits::Eight.offset()), (4, 128));
    let error = Bits::try_from(3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "weights do not come in 3 bits: use 8 or 4"
    );
}

#[test]
#[should_panic(expected = "scales are [rows, blocks]")]
fn contradicting_lengths_panic() {
    decode(&[0; 16], &[f16::ONE], 33, Bits::Eight, &mut [0.0; 33]);
}
