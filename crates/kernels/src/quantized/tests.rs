//! The kernels against their definition in float64, at every level that this machine has.

use half::f16;

use super::*;
use crate::{
    codes::{BLOCK, Bits, blocks, words},
    noise::noise,
};

/// Codes and scales of a matrix: any bits are codes.
struct Matrix {
    bits: Bits,
    codes: Vec<i32>,
    scales: Vec<f16>,
    columns: usize,
}

impl Matrix {
    fn new(rows: usize, columns: usize, bits: Bits, seed: u64) -> Self {
        let random = noise(rows * (words(columns, bits) + blocks(columns)), seed);
        let (codes, scales) = random.split_at(rows * words(columns, bits));
        Self {
            bits,
            codes: codes.iter().map(|x| (*x * 2f32.powi(31)) as i32).collect(),
            scales: scales.iter().map(|x| f16::from_f32(*x)).collect(),
            columns,
        }
    }

    fn view(&self) -> Codes<'_> {
        Codes::new(self.bits, &self.codes, &self.scales, self.columns)
    }

    fn rows(&self) -> usize {
        self.view().rows()
    }

    /// One row's codes, and those past its end.
    fn row(&self, row: usize) -> (Vec<f64>, &[f16]) {
        let words = &self.codes[row * words(self.columns, self.bits)..];
        let bits = self.bits;
        let code = |i: usize| {
            let word = words[i / bits.per_word()] as u32 >> (i % bits.per_word() * bits.bits());
            f64::from((word & ((1 << bits.bits()) - 1)) as i32 - bits.offset())
        };
        (
            (0..blocks(self.columns) * BLOCK).map(code).collect(),
            &self.scales[row * blocks(self.columns)..][..blocks(self.columns)],
        )
    }
}

fn project(level: ByteLevel, x: &[f32], matrix: &Matrix) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len() / matrix.columns * matrix.rows()];
    project_at(level, x, &mut [(matrix.view(), &mut y)], matrix.columns);
    y
}

/// Every product within float32's rounding of that with the same activations, and within the bound that [`project_codes`]
/// states of that with exact ones.
fn assert_products(x: &[f32], matrix: &Matrix, y: &[f32], what: &str) {
    let activations = Activations::new(x, matrix.columns, Order::Plain);
    for (i, (x, y)) in x
        .chunks(matrix.columns)
        .zip(y.chunks(matrix.rows()))
        .enumerate()
    {
        let quantized = activations.vector(i);
        for (row, y) in y.iter().enumerate() {
            let (codes, scales) = matrix.row(row);
            let offset = f64::from(matrix.bits.offset());
            let (mut same, mut exact, mut size, mut bound) = (0.0, 0.0, 0.0, 0.0);
            for (b, scale) in scales.iter().enumerate() {
                let step = f64::from(quantized.scales[b]);
                let scale = scale.to_f64();
                let block = codes.iter().zip(quantized.codes).enumerate();
                for (at, (code, x_code)) in block.skip(b * BLOCK).take(BLOCK) {
                    let x_code = f64::from(*x_code);
                    same += code * scale * x_code * step;
                    // Kernels may multiply codes with their offset, and subtract it from the sum.
                    size += ((code.abs() + 2.0 * offset) * scale * x_code * step).abs();
                    if let Some(x) = x.get(at) {
                        exact += code * scale * f64::from(*x);
                        bound += step / 2.0 * (1.0 + 2f64.powi(-15)) * (code * scale).abs();
                    }
                }
            }
            let rounding = 2.0 * (scales.len() + 8) as f64 * 2f64.powi(-24) * size;
            let y = f64::from(*y);
            assert!(
                (y - same).abs() <= rounding,
                "{what}, row {row}: {y} is not {same}"
            );
            let error = (y - exact).abs();
            assert!(
                error <= bound + rounding,
                "{what}, row {row}: {y} is far from {exact}"
            );
        }
    }
}

const SHAPES: [[usize; 2]; 14] = [
    [1, 1],
    [3, 7],
    [5, 31],
    [2, 32],
    [13, 33],
    [25, 64],
    [49, 96],
    [7, 172],
    [1, 1000],
    [30, 1000],
    [97, 512],
    [26, 1408],
    [4, 2049],
    [6, 9000],
];

#[test]
fn products_are_within_their_bounds() {
    for bits in [Bits::Four, Bits::Eight] {
        for [rows, columns] in SHAPES {
            let matrix = Matrix::new(rows, columns, bits, 1);
            for n in (0..10).chain([17, 70]) {
                let x = noise(n * columns, n as u64);
                for level in ByteLevel::all() {
                    let y = project(level, &x, &matrix);
                    let what = format!("{level:?}, {bits} bits, n {n}, {rows} x {columns}");
                    assert_products(&x, &matrix, &y, &what);

                    // Each vector alone gives the same bits.
                    for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
                        assert_eq!(project(level, x, &matrix), y, "{what}");
                    }
                }
            }
        }
    }
}

/// The largest codes and activations there are, of one sign and of both.
#[test]
fn no_product_overflows() {
    let columns = 1000;
    for (bits, patterns) in [
        (Bits::Eight, [0, -1, i32::from_le_bytes([0, 255, 0, 255])]),
        (
            Bits::Four,
            [0, -1, i32::from_le_bytes([0x0f, 0xf0, 0x0f, 0xf0])],
        ),
    ] {
        let row_words = words(columns, bits);
        for word in patterns {
            let matrix = Matrix {
                bits,
                codes: vec![word; 3 * row_words],
                scales: vec![f16::ONE; 3 * blocks(columns)],
                columns,
            };
            let ones = vec![1.0; columns];
            let alternating: Vec<f32> = (0..columns).map(|i| 1.0 - (i % 2) as f32 * 2.0).collect();
            let negative = vec![-1.0; columns];
            for x in [ones, alternating, negative] {
                for level in ByteLevel::all() {
                    let y = project(level, &x, &matrix);
                    assert_products(
                        &x,
                        &matrix,
                        &y,
                        &format!("{level:?}, {bits} bits, {word:x}"),
                    );
                }
            }
        }
    }
}

#[test]
fn activations_are_within_half_a_scale() {
    for columns in [1, 31, 32, 33, 512, 700, 1000] {
        let mut x = noise(3 * columns, 3);
        for (i, x) in x.iter_mut().enumerate() {
            *x *= 2f32.powi((i / 40 % 60) as i32 - 30);
        }
        let plain = Activations::new(&x, columns, Order::Plain);
        for (i, x) in x.chunks(columns).enumerate() {
            let vector = plain.vector(i);
            assert_eq!(vector.scales.len() % activations::SPAN, 0);
            let blocks = vector
                .codes
                .chunks(BLOCK)
                .zip(vector.scales.iter().zip(vector.sums));
            for (b, (codes, (scale, sum))) in blocks.enumerate() {
                let x = &x[columns.min(b * BLOCK)..columns.min((b + 1) * BLOCK)];
                let largest = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                assert_eq!(*scale, largest / 127.0);
                let codes_sum: i32 = codes.iter().map(|code| i32::from(*code)).sum();
                assert_eq!(*sum, *scale * codes_sum as f32);
                for (i, code) in codes.iter().enumerate() {
                    let x = f64::from(*x.get(i).unwrap_or(&0.0));
                    let scale = f64::from(*scale);
                    let bound = scale / 2.0 * (1.0 + 2f64.powi(-15));
                    assert!((x - f64::from(*code) * scale).abs() <= bound);
                    assert!(*code != -128);
                }
            }
            for width in [32, 64] {
                let sorted = Activations::new(x, columns, Order::EvenOdd(width));
                let sorted = sorted.vector(0);
                assert_eq!((sorted.scales, sorted.sums), (vector.scales, vector.sums));
                let groups = sorted
                    .codes
                    .chunks(2 * width)
                    .zip(vector.codes.chunks(2 * width));
                for (sorted, plain) in groups {
                    let places = (0..2 * width).map(|i| i / 2 + i % 2 * width);
                    assert!(places.map(|place| sorted[place]).eq(plain.iter().copied()));
                }
            }
        }
    }
}

#[test]
fn the_smallest_activations_are_zeros_and_larger_ones_are_not() {
    for tiny in [f32::from_bits(1), 1e-39, 1.2e-35] {
        let activations = Activations::new(&[tiny, -tiny], 2, Order::Plain);
        assert_eq!(activations.vector(0).codes[..2], [0, 0]);
    }
    let activations = Activations::new(&[2e-35, -2e-35], 2, Order::Plain);
    assert_eq!(activations.vector(0).codes[..2], [127, -127]);
}

#[test]
fn infinity_and_nan_stay_in_their_vectors_and_rows() {
    let (n, rows, columns) = (6, 30, 70);
    for bits in [Bits::Four, Bits::Eight] {
        for level in ByteLevel::all() {
            for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let mut matrix = Matrix::new(rows, columns, bits, 7);
                let mut x = noise(n * columns, 8);
                x[4 * columns + 69] = bad;
                for (i, y) in project(level, &x, &matrix).iter().enumerate() {
                    assert_eq!(y.is_nan(), i / rows == 4, "{level:?}");
                }
                let x = noise(n * columns, 8);
                matrix.scales[17 * 3 + 2] = f16::from_f32(bad);
                for (i, y) in project(level, &x, &matrix).iter().enumerate() {
                    assert_eq!(y.is_finite(), i % rows != 17, "{level:?}");
                }
            }
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_threads() {
    for (bits, columns) in [(Bits::Four, 300), (Bits::Eight, 300), (Bits::Four, 2100)] {
        let matrix = Matrix::new(1001, columns, bits, 2);
        for n in [1, 3, 8, 20, 120] {
            let x = noise(n * columns, 3);
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.unwrap()
                    .install(|| project(ByteLevel::best(), &x, &matrix))
            };
            let one = on(1);
            for threads in [2, 3, 7] {
                assert_eq!(on(threads), one, "{threads} threads, n {n}");
            }
        }
    }
}

#[test]
fn several_matrices_together_are_as_each_alone() {
    let (n, columns) = (3, 260);
    let x = noise(n * columns, 3);
    let matrices = [
        (512, Bits::Four),
        (0, Bits::Eight),
        (129, Bits::Eight),
        (1, Bits::Four),
    ]
    .map(|(rows, bits)| Matrix::new(rows, columns, bits, rows as u64));
    for level in ByteLevel::all() {
        let mut together = matrices
            .each_ref()
            .map(|matrix| vec![f32::NAN; n * matrix.rows()]);
        let mut products: Vec<(Codes, &mut [f32])> = matrices
            .iter()
            .zip(&mut together)
            .map(|(matrix, y)| (matrix.view(), y.as_mut_slice()))
            .collect();
        project_at(level, &x, &mut products, columns);
        for (matrix, together) in matrices.iter().zip(&together) {
            assert_eq!(&project(level, &x, matrix), together);
        }
    }
}

#[test]
fn nothing_gives_nothing_and_no_columns_give_zeros() {
    for bits in [Bits::Four, Bits::Eight] {
        project_codes(&[1.0; 5], &mut [], 5);
        project_codes(
            &[1.0; 5],
            &mut [(Codes::new(bits, &[], &[], 5), &mut [])],
            5,
        );
        project_codes(&[], &mut [(Codes::new(bits, &[], &[], 5), &mut [])], 5);
        let mut y = [f32::NAN; 6];
        project_codes(&[], &mut [(Codes::new(bits, &[], &[], 0), &mut y)], 0);
        assert_eq!(y, [0.0; 6]);
    }
}

#[test]
#[should_panic(expected = "y is [n, rows]")]
fn contradicting_lengths_panic() {
    let matrix = Matrix::new(4, 40, Bits::Four, 1);
    project_codes(&[1.0; 40], &mut [(matrix.view(), &mut [0.0; 3])], 40);
}
