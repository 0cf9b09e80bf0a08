//! Thin products with blocks against their definition in float64: the numbers of [`dequantize_blocks`], which the `gguf`
//! package's are, times the activations as they are rounded, and as they are.

use std::iter::once;

use super::*;
use crate::{
    gemv::{activations::Order, tiles::Tiles},
    quant::{BlockFormat, BlockMatrix, GROUP_SIZE, dequantize_blocks},
    testing::ROUNDOFF,
};

/// Rows, and columns in blocks: around the sizes of tiles and spans.
const SHAPES: [[usize; 2]; 9] = [[1, 1], [3, 2], [4, 3], [5, 7], [9, 8], [13, 9], [6, 18], [37, 16], [130, 5]];

/// Random bits, which are all quants and factors; numbers in binary16 are finite, a little apart from each other.
fn random_blocks(format: BlockFormat, [rows, blocks]: [usize; 2], seed: u64) -> Vec<u8> {
    let bytes = rows * blocks * format.block_bytes();
    let mut all: Vec<u8> = random(bytes, seed).iter().map(|x| (x.to_bits() >> 3) as u8).collect();
    let halves: &[usize] = match format {
        BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 | BlockFormat::Iq4Nl | BlockFormat::Iq4Xs => &[0],
        BlockFormat::Q4_1 | BlockFormat::Q5_1 | BlockFormat::Q4K | BlockFormat::Q5K => &[0, 2],
        BlockFormat::Q2K => &[80, 82],
        BlockFormat::Q3K => &[108],
        BlockFormat::Q6K => &[208],
        BlockFormat::Mxfp4 => &[],
    };
    for (i, block) in all.chunks_mut(format.block_bytes()).enumerate() {
        for at in halves {
            let half = f16::from_f32(random(1, seed + (1 + i + at) as u64)[0]);
            block[*at..][..2].copy_from_slice(&half.to_le_bytes());
        }
        if format == BlockFormat::Mxfp4 {
            block[0] = 120 + block[0] % 16;
        }
    }
    all
}

/// Every product is within float32's rounding of that of the same activations, and within the bound that [`gemv`] states of
/// that of exact ones.
fn assert_block_products(x: &[f32], matrix: BlockMatrix<'_>, y: &[f32], what: &str) {
    let (rows, columns) = (matrix.rows(), matrix.columns);
    let mut weights = vec![0.0; rows * columns];
    dequantize_blocks(matrix, &mut weights);
    let activations = Tiles::new(x, columns, Order::Plain, 1);
    for (i, (x, y)) in x.chunks(columns).zip(y.chunks(rows)).enumerate() {
        let rounded = activations.tile(i).spans;
        for (row, (w, y)) in weights.chunks(columns).zip(y).enumerate() {
            let (mut same, mut exact, mut size, mut bound) = (0.0, 0.0, 0.0, 0.0);
            for (group, w) in w.chunks(GROUP_SIZE).enumerate() {
                let step = f64::from(rounded[group / 8].scales[group % 8]);
                // Quants with their offset are at most twice the span of the group's numbers.
                let [min, max] =
                    w.iter().fold([0.0_f64; 2], |[min, max], w| [min.min(f64::from(*w)), max.max(f64::from(*w))]);
                for (at, w) in w.iter().enumerate() {
                    let (at, w) = (group * GROUP_SIZE + at, f64::from(*w));
                    let a = f64::from(rounded[at / 256].quants[at % 256]) * step;
                    same += w * a;
                    exact += w * f64::from(x[at]);
                    size += (max - min) * 32.0 * a.abs();
                    bound += step / 2.0 * (1.0 + 2f64.powi(-15)) * w.abs();
                }
            }
            let rounding = 2.0 * (columns / GROUP_SIZE + 8) as f64 * ROUNDOFF * size;
            let y = f64::from(*y);
            assert!((y - same).abs() <= rounding, "{what}, row {row}: {y} is not {same}, by {rounding}");
            assert!((y - exact).abs() <= bound + rounding, "{what}, row {row}: {y} is far from {exact}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn blocks_in_strips_are_the_definition() {
    for format in BlockFormat::ALL {
        for shape @ [rows, blocks] in SHAPES {
            let columns = blocks * format.block_len();
            let bytes = random_blocks(format, shape, 1);
            let matrix = BlockMatrix::new(format, &bytes, columns);
            let mut numbers = vec![f32::NAN; rows * columns];
            dequantize_blocks(matrix, &mut numbers);
            let check = |x: &[f32], y: &[f32], what: &str| assert_block_products(x, matrix, y, what);
            check_strips(Panels::of_blocks(matrix), &numbers, check, &format!("{format}, {shape:?} blocks"));
        }
    }
}

#[test]
fn blocks_are_the_definition() {
    for format in BlockFormat::ALL {
        for shape in SHAPES {
            let columns = shape[1] * format.block_len();
            let bytes: Vec<u8> = once(0).chain(random_blocks(format, shape, 1)).collect();
            // At an odd address: blocks lie anywhere.
            let matrix = BlockMatrix::new(format, &bytes[1..], columns);
            for n in counts() {
                let x = random(n * columns, n as u64);
                for isa in Isa::all() {
                    let y = product(isa, &x, matrix);
                    let what = format!("{format}, {isa:?}, n {n}, {shape:?} blocks");
                    assert_block_products(&x, matrix, &y, &what);
                    assert_rows_alone(&x, &y, columns, &what, |x| product(isa, x, matrix));
                }
            }
        }
    }
}

/// The largest quants and activations, of one sign and of both.
#[test]
fn products_of_blocks_do_not_overflow() {
    for format in BlockFormat::ALL {
        let columns = 768;
        for byte in [0x00, 0xff, 0x77, 0x88, 0x80, 0x7f, 0xf0, 0x0f] {
            let mut bytes = random_blocks(format, [3, columns / format.block_len()], 2);
            let random = bytes.clone();
            bytes.fill(byte);
            // Numbers in binary16 stay finite.
            for (block, random) in bytes.chunks_mut(format.block_bytes()).zip(random.chunks(format.block_bytes())) {
                let halves = match format {
                    BlockFormat::Q2K => 80..84,
                    BlockFormat::Q3K => 108..110,
                    BlockFormat::Q6K => 208..210,
                    BlockFormat::Mxfp4 => 0..1,
                    _ => 0..4,
                };
                block[halves.clone()].copy_from_slice(&random[halves]);
            }
            let matrix = BlockMatrix::new(format, &bytes, columns);
            let alternating = (0..columns).map(|i| 1.0 - (i % 2) as f32 * 2.0);
            for x in [vec![1.0; columns], vec![-1.0; columns], alternating.collect()] {
                for isa in Isa::all() {
                    let y = product(isa, &x, matrix);
                    assert_block_products(&x, matrix, &y, &format!("{format}, {isa:?}, bytes {byte:x}"));
                }
            }
        }
    }
}

/// Of MXFP4, also where they are no normal numbers.
#[test]
fn every_power_of_two_is_read() {
    // A row for each, of ones: 32 halves of the power.
    let bytes: Vec<u8> = (0..=u8::MAX).flat_map(|e| once(e).chain([0x11; 16])).collect();
    let x = [0.5; 32];
    for isa in Isa::all() {
        let y = product(isa, &x, BlockMatrix::new(BlockFormat::Mxfp4, &bytes, 32));
        for (e, y) in y.iter().enumerate() {
            let exact = 2f64.powi(e as i32 - 128 + 4);
            // The offset of signed quants takes 7 bits of the range.
            if exact * 128.0 > f64::from(f32::MAX) {
                continue;
            }
            let error = (f64::from(*y) - exact).abs();
            // A scale that is no normal number is off by 2^-150, and sums of quants with their offset are below 2^20.
            assert!(error <= 1e-4 * exact + 2f64.powi(-130), "{isa:?}, exponent {e}: {y} is not {exact}");
        }
    }
}

#[test]
fn infinity_and_nan_stay_in_their_rows_of_blocks_and_vectors() {
    let (n, rows, columns) = (6, 7, 512);
    for format in BlockFormat::ALL {
        let shape = [rows, columns / format.block_len()];
        let mut bytes = random_blocks(format, shape, 3);
        let mut x = random(n * columns, 4);
        x[4 * columns + 300] = f32::NAN;
        for isa in Isa::all() {
            for (i, y) in product(isa, &x, BlockMatrix::new(format, &bytes, columns)).iter().enumerate() {
                assert_eq!(y.is_nan(), i / rows == 4, "{format}, {isa:?}");
            }
        }
        if format == BlockFormat::Mxfp4 {
            continue;
        }
        let half = match format {
            BlockFormat::Q2K => 80,
            BlockFormat::Q3K => 108,
            BlockFormat::Q6K => 208,
            _ => 0,
        };
        let at = 5 * format.row_bytes(columns) + half;
        bytes[at..][..2].copy_from_slice(&f16::INFINITY.to_le_bytes());
        let x = random(n * columns, 4);
        for isa in Isa::all() {
            for (i, y) in product(isa, &x, BlockMatrix::new(format, &bytes, columns)).iter().enumerate() {
                assert_eq!(y.is_finite(), i % rows != 5, "{format}, {isa:?}");
            }
        }
    }
}

#[test]
fn formats_mix_and_threads_do_not_change_them() {
    let columns = 768;
    let formats = [BlockFormat::Q4K, BlockFormat::Q6K, BlockFormat::Q8_0, BlockFormat::Iq4Xs, BlockFormat::Mxfp4];
    let stored = formats.map(|format| random_blocks(format, [301, columns / format.block_len()], 5));
    let mut matrices = Vec::new();
    for (format, bytes) in formats.iter().zip(&stored) {
        matrices.push(BlockMatrix::new(*format, bytes, columns));
    }
    let x = random(3 * columns, 3);
    for isa in Isa::all() {
        assert_same_on_any_threads("blocks", || {
            let mut together = vec![vec![f32::NAN; 3 * 301]; formats.len()];
            let outputs = together.iter_mut().map(Vec::as_mut_slice);
            let mut products: Vec<_> = matrices.iter().copied().zip(outputs).collect();
            gemv(isa, &x, &mut products);
            for (matrix, together) in matrices.iter().zip(&together) {
                assert_eq!(&product(isa, &x, *matrix), together);
            }
            together
        });
    }
}
