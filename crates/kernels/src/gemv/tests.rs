//! Thin products against their definition in float64, with every instruction set of this machine.

use half::{bf16, f16};

use super::*;
use crate::{
    float::Float,
    matrix::Matrix,
    quant::{Panels, QuantFormat, Quantized, QuantizedMatrix, dequantize, groups, words, zero_words},
    testing::{assert_products, assert_quantized_products, assert_rows_alone, assert_same_on_any_threads, random},
};

mod blocks;

fn product<M: MatVec<f32>>(isa: Isa, x: &[f32], matrix: M) -> Vec<f32> {
    let n = x.len() / matrix.columns();
    let mut y = vec![f32::NAN; n * matrix.rows()];
    gemv(isa, x, &mut [(matrix, &mut y)]);
    y
}

/// Rows and columns: around the sizes of tiles, of vectors, of groups and of chunks.
const SHAPES: [[usize; 2]; 17] = [
    [1, 1],
    [3, 7],
    [5, 31],
    [2, 32],
    [13, 33],
    [25, 8],
    [25, 64],
    [49, 16],
    [49, 96],
    [7, 100],
    [7, 172],
    [1, 1000],
    [30, 1000],
    [97, 512],
    [26, 1408],
    [4, 2049],
    [6, 9000],
];

/// Counts of vectors: none, around the sizes of tiles, and many.
fn counts() -> impl Iterator<Item = usize> {
    (0..10).chain([17, 70])
}

fn check_floats<T: Float>(store: fn(f32) -> T, load: fn(T) -> f32) {
    for [rows, columns] in SHAPES {
        let weight: Vec<T> = random(rows * columns, 1).into_iter().map(store).collect();
        let exact: Vec<f32> = weight.iter().map(|w| load(*w)).collect();
        let matrix = Matrix::new(&weight, columns);
        for n in counts() {
            let x = random(n * columns, n as u64);
            for isa in Isa::all() {
                let y = product(isa, &x, matrix);
                let what = format!("{isa:?}, n {n}, {rows} x {columns}");
                assert_products(&x, &exact, &y, columns, &what);
                assert_rows_alone(&x, &y, columns, &what, |x| product(isa, x, matrix));
            }
        }
    }
}

#[test]
fn float32_is_the_definition() {
    check_floats(|x| x, |x| x);
}

#[test]
fn binary16_is_the_definition() {
    check_floats(f16::from_f32, f16::to_f32);
}

#[test]
fn bfloat16_is_the_definition() {
    check_floats(bf16::from_f32, bf16::to_f32);
}

#[test]
fn quantized_is_the_definition() {
    for format in [QuantFormat::Int4, QuantFormat::Int8, QuantFormat::Mxfp4] {
        for [rows, columns] in SHAPES {
            let matrix = Quantized::random([rows, columns], format, 1);
            for n in counts() {
                let x = random(n * columns, n as u64);
                for isa in Isa::all() {
                    let multiply = |x: &[f32]| product(isa, x, matrix.view());
                    let y = multiply(&x);
                    let what = format!("{isa:?}, {format:?}, n {n}, {rows} x {columns}");
                    assert_quantized_products(&x, &matrix, &y, true, &what);
                    assert_rows_alone(&x, &y, columns, &what, multiply);
                }
            }
        }
    }
}

/// A matrix in strips has the numbers that it was laid from, and so have its products.
#[cfg(target_arch = "x86_64")]
fn check_strips(panels: Option<Panels>, numbers: &[f32], check: impl Fn(&[f32], &[f32], &str), what: &str) {
    let Some(panels) = panels else {
        assert!(Isa::best().vnni().is_none(), "{what}: where VNNI is, matrices are laid in strips");
        return;
    };
    let columns = panels.columns();
    let mut again = vec![f32::NAN; numbers.len()];
    panels.dequantize(0..panels.rows(), &mut again);
    assert_eq!(again, numbers, "{what}");
    for n in counts() {
        let x = random(n * columns, n as u64);
        let multiply = |x: &[f32]| product(Isa::best(), x, &panels);
        let y = multiply(&x);
        let what = format!("{what} in strips, n {n}");
        check(&x, &y, &what);
        assert_rows_alone(&x, &y, columns, &what, multiply);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn strips_are_the_definition() {
    for format in [QuantFormat::Int4, QuantFormat::Int8, QuantFormat::Mxfp4] {
        for [rows, columns] in SHAPES {
            let matrix = Quantized::random([rows, columns], format, 1);
            let mut numbers = vec![f32::NAN; rows * columns];
            dequantize(matrix.view(), &mut numbers);
            let check = |x: &[f32], y: &[f32], what: &str| assert_quantized_products(x, &matrix, y, false, what);
            check_strips(Panels::of(matrix.view()), &numbers, check, &format!("{format:?}, {rows} x {columns}"));
        }
    }
}

/// Every bit pattern times one: subnormals, infinities and NaN come through.
fn check_widening<T: Float>(from_bits: fn(u16) -> T, to_f32: fn(T) -> f32) {
    let weight: Vec<T> = (0..=u16::MAX).map(from_bits).collect();
    for isa in Isa::all() {
        // Columns of zeros around each would hide a NaN behind another, so each is a row of its own.
        let y = product(isa, &[1.0], Matrix::new(&weight, 1));
        for (w, y) in weight.iter().zip(&y) {
            let expected = to_f32(*w);
            let same = expected == *y || expected.is_nan() && y.is_nan();
            assert!(same, "{isa:?}: {expected} became {y}");
        }

        // The same in whole vectors: 64 columns of which one counts.
        for at in [0, 3, 4, 7, 15, 16, 63] {
            let mut x = [0.0; 64];
            x[at] = 1.0;
            let y = product(isa, &x, Matrix::new(&weight, 64));
            for (w, y) in weight.chunks(64).zip(&y) {
                let finite = w.iter().all(|w| to_f32(*w).is_finite());
                assert_eq!(finite, y.is_finite(), "{isa:?}");
                assert!(!finite || *y == to_f32(w[at]), "{isa:?}");
            }
        }
    }
}

#[test]
fn every_16_bit_float_widens_exactly() {
    check_widening(f16::from_bits, f16::to_f32);
    check_widening(bf16::from_bits, bf16::to_f32);
}

/// The largest quants and activations, of one sign and of both.
#[test]
fn quantized_products_do_not_overflow() {
    let columns = 1000;
    for (format, patterns) in [
        (QuantFormat::Int8, [0, -1, i32::from_le_bytes([0, 255, 0, 255])]),
        (QuantFormat::Int4, [0, -1, i32::from_le_bytes([0x0f, 0xf0, 0x0f, 0xf0])]),
        (QuantFormat::Mxfp4, [0x7777_7777, -1, i32::from_le_bytes([0x7f, 0xf7, 0x7f, 0xf7])]),
    ] {
        for word in patterns {
            let matrix = Quantized {
                format,
                quants: vec![word; 3 * words(columns, format)],
                scales: vec![f16::ONE; 3 * groups(columns)],
                zero_points: vec![word; 3 * zero_words(columns, format)],
                columns,
            };
            let ones = vec![1.0; columns];
            let alternating: Vec<f32> = (0..columns).map(|i| 1.0 - (i % 2) as f32 * 2.0).collect();
            let negative = vec![-1.0; columns];
            for x in [ones, alternating, negative] {
                for isa in Isa::all() {
                    let y = product(isa, &x, matrix.view());
                    let what = format!("{isa:?}, {format} bits, {word:x}");
                    assert_quantized_products(&x, &matrix, &y, true, &what);
                }
            }
        }
    }
}

#[test]
fn infinity_and_nan_stay_in_their_rows_and_vectors() {
    let (n, rows, columns) = (6, 30, 37);
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for isa in Isa::all() {
            let expect = |x: &[f32], weight: &[f32], hit: &dyn Fn(usize) -> bool| {
                let y = product(isa, x, Matrix::new(weight, columns));
                for (i, y) in y.iter().enumerate() {
                    let expected = if hit(i) { bad } else { 37.0 };
                    assert!(*y == expected || bad.is_nan() && hit(i) && y.is_nan());
                }
            };
            let mut x = vec![1.0; n * columns];
            let mut weight = vec![1.0; rows * columns];
            weight[17 * columns + 36] = bad;
            expect(&x, &weight, &|i| i % rows == 17);
            weight.fill(1.0);
            x[4 * columns + 3] = bad;
            expect(&x, &weight, &|i| i / rows == 4);
        }
    }
}

#[test]
fn infinity_and_nan_stay_in_their_quantized_rows_and_vectors() {
    let (n, rows, columns) = (6, 30, 70);
    for format in [QuantFormat::Int4, QuantFormat::Int8, QuantFormat::Mxfp4] {
        for isa in Isa::all() {
            for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let mut matrix = Quantized::random([rows, columns], format, 7);
                let mut x = random(n * columns, 8);
                x[4 * columns + 69] = bad;
                for (i, y) in product(isa, &x, matrix.view()).iter().enumerate() {
                    assert_eq!(y.is_nan(), i / rows == 4, "{isa:?}");
                }
                let x = random(n * columns, 8);
                matrix.scales[17 * 3 + 2] = f16::from_f32(bad);
                for (i, y) in product(isa, &x, matrix.view()).iter().enumerate() {
                    assert_eq!(y.is_finite(), i % rows != 17, "{isa:?}");
                }
            }
        }
    }
}

fn check_threads<M: MatVec<f32> + Copy>(matrix: M, what: &str) {
    for n in [1, 3, 8, 20, 120] {
        let x = random(n * matrix.columns(), 3);
        let run = || product(Isa::best(), &x, matrix);
        assert_same_on_any_threads(&format!("{what}, n {n}"), run);
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let weight = random(1001 * 300, 2);
    check_threads(Matrix::new(&weight, 300), "float32");
    for (format, columns) in [(QuantFormat::Int4, 300), (QuantFormat::Int8, 300), (QuantFormat::Int4, 2100)] {
        let matrix = Quantized::random([1001, columns], format, 2);
        check_threads(matrix.view(), &format!("{format} bits"));
        #[cfg(target_arch = "x86_64")]
        if let Some(panels) = Panels::of(matrix.view()) {
            check_threads(&panels, &format!("{format} bits in strips"));
        }
    }
}

fn check_together<M: MatVec<f32> + Copy>(matrices: &[M]) {
    let n = 3;
    let x = random(n * matrices[0].columns(), 3);
    for isa in Isa::all() {
        let outputs = matrices.iter().map(|matrix| vec![f32::NAN; n * matrix.rows()]);
        let mut together: Vec<_> = outputs.collect();
        let outputs = together.iter_mut().map(Vec::as_mut_slice);
        let mut products: Vec<_> = matrices.iter().copied().zip(outputs).collect();
        gemv(isa, &x, &mut products);
        for (matrix, together) in matrices.iter().zip(&together) {
            assert_eq!(&product(isa, &x, *matrix), together);
        }
    }
}

#[test]
fn several_matrices_together_are_as_each_alone() {
    let weights = [512, 0, 129, 1].map(|rows| random(rows * 260, rows as u64));
    check_together(&weights.each_ref().map(|weight| Matrix::new(weight, 260)));
    let matrices = [(512, QuantFormat::Int4), (0, QuantFormat::Int8), (129, QuantFormat::Int8), (1, QuantFormat::Int4)]
        .map(|(rows, format)| Quantized::random([rows, 260], format, rows as u64));
    check_together(&matrices.each_ref().map(Quantized::view));
}

fn check_nothing<M: MatVec<f32>>(empty: impl Fn(usize) -> M) {
    let isa = Isa::best();
    gemv::<f32, M>(isa, &[1.0; 5], &mut []);
    gemv(isa, &[1.0; 5], &mut [(empty(5), &mut [])]);
    gemv(isa, &[], &mut [(empty(5), &mut [])]);
    let mut y = [f32::NAN; 6];
    gemv(isa, &[], &mut [(empty(0), &mut y)]);
    assert_eq!(y, [0.0; 6]);
}

#[test]
fn no_rows_give_nothing_and_no_columns_give_zeros() {
    check_nothing(|columns| Matrix::<f32>::new(&[], columns));
    check_nothing(|columns| QuantizedMatrix::new(QuantFormat::Int4, &[], &[], &[], columns));
    check_nothing(|columns| QuantizedMatrix::new(QuantFormat::Int8, &[], &[], &[], columns));
}

#[test]
#[should_panic(expected = "y is [n, rows]")]
fn contradicting_lengths_panic() {
    let matrix = Matrix::new(&[1.0_f32; 4], 2);
    gemv(Isa::best(), &[1.0; 4], &mut [(matrix, &mut [0.0; 3])]);
}

#[test]
#[should_panic(expected = "y is [n, rows]")]
fn contradicting_lengths_of_quantized_matrices_panic() {
    let matrix = Quantized::random([4, 40], QuantFormat::Int4, 1);
    gemv(Isa::best(), &[1.0; 40], &mut [(matrix.view(), &mut [0.0; 3])]);
}
