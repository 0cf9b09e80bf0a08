use super::*;
use crate::testing::assert_same_on_any_threads;

mod writing;

/// Blocks of each of [`BlockFormat::ALL`] in a row of 16, and the numbers that the `gguf` package makes of them: random
/// bytes, all zeros and ones, and scales that are infinite or not a number. Written by `reference.py`.
const REFERENCE: &[u8] = include_bytes!("tests/reference.bin");

const BLOCKS: usize = 16;

/// A matrix of one row, and its numbers.
fn reference(format: BlockFormat) -> (BlockMatrix<'static>, Vec<f32>) {
    let mut rest = REFERENCE;
    for other in BlockFormat::ALL {
        let columns = BLOCKS * other.block_len();
        let (blocks, after) = rest.split_at(other.row_bytes(columns));
        let (numbers, after) = after.split_at(size_of::<f32>() * columns);
        if other == format {
            let numbers = numbers.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            return (BlockMatrix::new(format, blocks, columns), numbers.collect());
        }
        rest = after;
    }
    unreachable!("all formats are among all")
}

/// NaN is NaN, with any bits.
fn bits(number: f32) -> u32 {
    if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() }
}

#[test]
fn numbers_are_those_of_the_gguf_package_bit_for_bit() {
    for format in BlockFormat::ALL {
        let (matrix, expected) = reference(format);
        let mut numbers = vec![0.0; expected.len()];
        dequantize_blocks(matrix, &mut numbers);
        for (i, (number, expected)) in numbers.iter().zip(&expected).enumerate() {
            assert_eq!(bits(*number), bits(*expected), "{format}, number {i}: {number}, not {expected}");
        }
        assert!(expected.iter().any(|number| number.is_finite() && *number != 0.0), "{format}");
        assert_eq!(expected.iter().any(|number| number.is_nan()), format != BlockFormat::Mxfp4, "{format}");
    }
}

#[test]
fn blocks_have_their_sizes() {
    for format in BlockFormat::ALL {
        fn len<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>() -> usize {
            LEN
        }
        assert_eq!(
            with_block!(format, B => (len::<_, _, B>(), size_of::<B>())),
            (format.block_len(), format.block_bytes())
        );
    }
}

/// Rows at odd addresses, on any number of threads.
#[test]
fn rows_lie_anywhere() {
    for format in BlockFormat::ALL {
        let (matrix, expected) = reference(format);
        let columns = 2 * format.block_len();
        let bytes = [&[0], matrix.blocks].concat();
        let matrix = BlockMatrix::new(format, &bytes[1..], columns);
        assert_same_on_any_threads(format.name(), || {
            let mut numbers = vec![0.0; expected.len()];
            dequantize_blocks(matrix, &mut numbers);
            let same = numbers.iter().zip(&expected).all(|(number, expected)| bits(*number) == bits(*expected));
            assert!(same, "{format}");
        });
    }
    dequantize_blocks(BlockMatrix::new(BlockFormat::Q6K, &[], 0), &mut []);
}
