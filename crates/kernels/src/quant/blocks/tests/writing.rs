//! Numbers in blocks and back.

use proptest::prelude::*;

use super::*;
use crate::{
    quant::E2M1,
    testing::{assert_same_on_any_threads, random},
};

/// The quants that a format has.
fn codes(format: BlockFormat) -> Vec<f64> {
    let range = match format {
        BlockFormat::Q4_0 => -8..=7,
        BlockFormat::Q4_1 | BlockFormat::Q4K => 0..=15,
        BlockFormat::Q5_0 => -16..=15,
        BlockFormat::Q5_1 | BlockFormat::Q5K => 0..=31,
        BlockFormat::Q8_0 => -127..=127,
        BlockFormat::Q2K => 0..=3,
        BlockFormat::Q3K => -4..=3,
        BlockFormat::Q6K => -32..=31,
        BlockFormat::Iq4Nl | BlockFormat::Iq4Xs => return iq4::IQ4.map(f64::from).to_vec(),
        BlockFormat::Mxfp4 => return E2M1.map(f64::from).to_vec(),
    };
    range.map(f64::from).collect()
}

fn nearest(number: f64, codes: &[f64], scale: f64, min: f64) -> f64 {
    codes.iter().map(|code| (code * scale - min - number).abs()).fold(f64::INFINITY, f64::min)
}

fn squares(errors: impl Iterator<Item = f64>) -> f64 {
    errors.map(|error| error * error).sum()
}

fn stored(values: &[f32], columns: usize, format: BlockFormat) -> Result<Vec<u8>, NotQuantizable> {
    let mut bytes = vec![0xaa; values.len() / columns * format.row_bytes(columns)];
    quantize_blocks(values, columns, format, &mut bytes).map(|()| bytes)
}

/// The scale and the min of each group.
fn scales_and_mins(format: BlockFormat, bytes: &[u8]) -> Vec<(f64, f64)> {
    fn of<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>(bytes: &[u8]) -> Vec<(f64, f64)> {
        let blocks: &[B] = cast_slice(bytes);
        let groups = blocks.iter().flat_map(|block| block.scales().into_iter().zip(block.mins()));
        groups.map(|(scale, min)| (f64::from(scale), f64::from(min))).collect()
    }
    with_block!(format, B => of::<_, _, B>(bytes))
}

/// Every number has the nearest quant by the stored scale of its group. Returns the sum of squared errors, and that without
/// a search: with scales in float64 that clip little, as llama.cpp's simplest quantizers choose them.
fn check(values: &[f32], format: BlockFormat) -> (f64, f64) {
    let bytes = stored(values, values.len(), format).unwrap();
    let mut back = vec![f32::NAN; values.len()];
    dequantize_blocks(BlockMatrix::new(format, &bytes, values.len()), &mut back);
    let (groups, codes) = (scales_and_mins(format, &bytes), codes(format));
    let n = values.len() / groups.len();
    let mut plain = 0.0;
    for (g, (scale, min)) in groups.iter().enumerate() {
        let group: Vec<f64> = values[g * n..][..n].iter().map(|value| f64::from(*value)).collect();
        for (number, back) in group.iter().zip(&back[g * n..]) {
            let error = (number - f64::from(*back)).abs();
            let bound = nearest(*number, &codes, *scale, *min) + 1e-5 * (number.abs() + min.abs() + scale.abs());
            assert!(error <= bound, "{format}: {back} for {number}, by scale {scale}, min {min}");
        }
        let low = group.iter().fold(0.0_f64, |low, number| low.min(*number));
        let high = group.iter().fold(0.0_f64, |high, number| high.max(*number));
        let last = codes.iter().fold(0.0_f64, |last, code| last.max(*code));
        plain += squares(group.iter().map(|number| {
            let (scale, min) = match codes[0] {
                0.0 if format != BlockFormat::Mxfp4 => ((high - low) / last, -low),
                _ if format == BlockFormat::Mxfp4 => (2f64.powi(high.max(-low).log2().floor() as i32 - 3), 0.0),
                _ if format == BlockFormat::Q8_0 => (high.max(-low) / last, 0.0),
                first => (if high > -low { high } else { low } / first, 0.0),
            };
            nearest(*number, &codes, scale, min)
        }));
    }
    (squares(values.iter().zip(&back).map(|(value, back)| f64::from(value - back))), plain)
}

/// Sums of random numbers: flat, or close to a bell.
fn sums(of: u64) -> Vec<f32> {
    let all: Vec<Vec<f32>> = (0..of).map(|i| random(1 << 14, 10 * of + i)).collect();
    (0..1 << 14).map(|at| all.iter().map(|numbers| numbers[at]).sum()).collect()
}

#[test]
fn searching_leaves_less_error_than_not_searching() {
    for format in BlockFormat::ALL {
        // Of the plain error. Six bits for a scale cost something that the plain one does not pay.
        let most = match format {
            BlockFormat::Q8_0 => 1.01,
            BlockFormat::Mxfp4 => 0.99,
            _ => 0.95,
        };
        for of in [1, 6] {
            let values = sums(of);
            let (found, plain) = check(&values, format);
            assert!(found <= most * plain, "{format}, sums of {of}: {found}, not searching {plain}");
        }
    }
}

/// Blocks of numbers of all sizes, the sizes of groups far apart.
fn any_block() -> impl Strategy<Value = Vec<f32>> {
    let number = (-1f32..1.0, -30i32..14).prop_map(|(number, power)| number * 2f32.powi(power));
    let group = (prop::collection::vec(-1f32..1.0, 32), -20i32..14, -1f32..1.0)
        .prop_map(|(numbers, power, mean)| numbers.iter().map(|x| (x + mean) * 2f32.powi(power)).collect::<Vec<_>>());
    prop_oneof![
        prop::collection::vec(number, 256),
        prop::collection::vec(group, 8).prop_map(|groups| groups.concat()),
        (-1f32..1.0).prop_map(|same| vec![same; 256]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn numbers_are_the_nearest_and_better_than_none(values in any_block()) {
        for format in BlockFormat::ALL {
            let (found, _) = check(&values, format);
            let nothing = squares(values.iter().map(|value| f64::from(*value)));
            prop_assert!(found <= nothing * 1.0001 + 256.0 * 2f64.powi(-50), "{format}: {found} of {nothing}");
        }
    }
}

#[test]
fn zeros_stay_zeros() {
    for format in BlockFormat::ALL {
        for tiny in [0.0, -0.0, 1e-30, -f32::from_bits(1)] {
            let bytes = stored(&[tiny; 512], 256, format).unwrap();
            let mut back = [f32::NAN; 512];
            dequantize_blocks(BlockMatrix::new(format, &bytes, 256), &mut back);
            // The scale of MXFP4 goes down to 2^-126.
            let most = if format == BlockFormat::Mxfp4 { 1.5 * tiny.abs() } else { 0.0 };
            assert!(back.iter().all(|back| back.abs() <= most), "{format}: {tiny}");
        }
        // A group of zeros among others, where a format has no mins.
        let mut values = random(256, 3);
        values[64..96].fill(0.0);
        let bytes = stored(&values, 256, format).unwrap();
        let mut back = [f32::NAN; 256];
        dequantize_blocks(BlockMatrix::new(format, &bytes, 256), &mut back);
        assert!(back[64..96].iter().all(|back| back.abs() <= 0.0), "{format}: {:?}", &back[64..96]);
    }
}

#[test]
fn numbers_that_cannot_be_quantized_are_named() {
    for format in BlockFormat::ALL {
        for (at, bad) in [(700, f32::NAN), (5, f32::INFINITY), (1023, f32::NEG_INFINITY)] {
            let mut values = random(1024, 4);
            values[at] = bad;
            values[300] = 9.0;
            let error = stored(&values, 512, format).err().unwrap();
            assert!(error.to_string().contains(&format!("number {at} is {bad}")), "{format}: {error}");
        }
        for large in [1e9, -f32::MAX] {
            let mut values = random(1024, 4);
            values[770] = large;
            let stored = stored(&values, 256, format);
            if format == BlockFormat::Mxfp4 {
                assert!(stored.is_ok());
            } else {
                let expected = NotQuantizable::TooLarge { index: 770, value: large, format: format.name() };
                assert_eq!(stored, Err(expected));
            }
        }
    }
}

#[test]
fn any_number_of_threads_writes_the_same() {
    let values = random(1 << 16, 5);
    for format in BlockFormat::ALL {
        assert_same_on_any_threads(format.name(), || stored(&values, 512, format).unwrap());
        assert_eq!(stored(&[], 256, format), Ok(vec![]));
    }
}
