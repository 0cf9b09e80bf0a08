//! Products of many vectors against their definition in float64, with every instruction set of this machine.

mod company;

use half::f16;

use super::*;
use crate::{
    quant::{BlockFormat, QuantFormat, Quantized},
    testing::{
        assert_products, assert_quantized_products, assert_rows_alone, assert_same_on_any_threads, random,
        random_blocks,
    },
};

/// Rows and columns: around the sizes of panels, of units and of groups.
const SHAPES: [[usize; 2]; 18] = [
    [1, 1],
    [15, 2],
    [16, 3],
    [17, 31],
    [33, 32],
    [97, 33],
    [1, 172],
    [16, 64],
    [33, 1000],
    [65, 100],
    [7, 4100],
    [32, 48],
    [64, 16],
    [31, 17],
    [8, 9],
    [300, 65],
    [1, 7],
    [513, 1],
];

/// Counts of vectors: around the sizes of groups, and of those from which panels are used.
const COUNTS: [usize; 15] = [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 24, 31, 40, 70, 129];

fn narrowed(values: &[f32]) -> Vec<bf16> {
    values.iter().copied().map(bf16::from_f32).collect()
}

fn check<T: Float>(store: fn(f32) -> T, load: fn(T) -> f32) {
    for [rows, columns] in SHAPES {
        let weight: Vec<T> = random(rows * columns, 1).into_iter().map(store).collect();
        let exact: Vec<f32> = weight.iter().map(|w| load(*w)).collect();
        let matrix = Matrix::new(&weight, columns);
        for n in COUNTS {
            let x = random(n * columns, 2);
            for isa in Isa::all() {
                let multiply = |x: &[f32]| {
                    let mut y = vec![f32::NAN; x.len() / columns * rows];
                    gemm(isa, x, &mut [(matrix, &mut y)], columns);
                    y
                };
                let y = multiply(&x);
                let what = format!("{isa:?}, n {n}, {rows} x {columns}");
                assert_products(&x, &exact, &y, columns, &what);
                assert_rows_alone(&x, &y, columns, &what, multiply);
            }
            let mut y = vec![f32::NAN; n * rows];
            matmul_t(&x, &mut [(matrix, &mut y)]);
            assert_products(&x, &exact, &y, columns, "matmul_t");
        }
    }
}

#[test]
fn float32_is_the_definition() {
    check(|x| x, |x| x);
}

#[test]
fn binary16_is_the_definition() {
    check(f16::from_f32, f16::to_f32);
}

#[test]
fn bfloat16_is_the_definition() {
    check(bf16::from_f32, bf16::to_f32);
}

#[test]
fn bfloat16_by_bfloat16_is_the_definition() {
    for [rows, columns] in SHAPES {
        let weight = narrowed(&random(rows * columns, 1));
        let matrix = Matrix::new(&weight, columns);
        for n in COUNTS {
            let x = narrowed(&random(n * columns, 2));
            let (wide, exact) = (x.to_f32_vec(), weight.to_f32_vec());
            let mut y = vec![f32::NAN; n * rows];
            matmul_t_bf16(&x, &mut [(matrix, &mut y)]);
            assert_products(&wide, &exact, &y, columns, "matmul_t_bf16");
            #[cfg(target_arch = "x86_64")]
            if let Some(bf16) = Isa::all().into_iter().find_map(Isa::bf16) {
                let multiply = |x: &[f32]| {
                    let mut y = vec![f32::NAN; x.len() / columns * rows];
                    gemm_bf16(bf16, &narrowed(x), &mut [(matrix, &mut y)], columns);
                    y
                };
                let y = multiply(&wide);
                let what = format!("n {n}, {rows} x {columns}");
                assert_products(&wide, &exact, &y, columns, &what);
                assert_rows_alone(&wide, &y, columns, &what, multiply);
            }
        }
    }
}

#[test]
fn quantized_is_the_definition() {
    for format in [QuantFormat::Int8, QuantFormat::Int4, QuantFormat::Mxfp4] {
        for [rows, columns] in SHAPES {
            let matrix = Quantized::random([rows, columns], format, 3);
            for n in COUNTS {
                let x = random(n * columns, 4);
                let mut y = vec![f32::NAN; n * rows];
                matmul_t_quantized(&x, &mut [(matrix.view(), &mut y)]);
                let what = format!("{format:?}, n {n}, {rows} x {columns}");
                assert_quantized_products(&x, &matrix, &y, true, &what);
            }
        }
    }
}

#[test]
fn infinity_and_nan_stay_in_their_rows_and_vectors() {
    let (n, rows, columns) = (14, 50, 37);
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for isa in Isa::all() {
            let expect = |x: &[f32], weight: &[f32], hit: &dyn Fn(usize) -> bool| {
                let mut y = vec![0.0; n * rows];
                let matrix = Matrix::new(weight, columns);
                gemm(isa, x, &mut [(matrix, &mut y)], columns);
                for (i, y) in y.iter().enumerate() {
                    let expected = if hit(i) { bad } else { 37.0 };
                    assert!(*y == expected || hit(i) && bad.is_nan() && y.is_nan());
                }
            };
            let mut x = vec![1.0; n * columns];
            let mut weight = vec![1.0; rows * columns];
            weight[17 * columns + 36] = bad;
            expect(&x, &weight, &|i| i % rows == 17);
            weight.fill(1.0);
            x[13 * columns + 3] = bad;
            expect(&x, &weight, &|i| i / rows == 13);
        }
    }
}

#[test]
fn nan_stays_in_its_vector_with_quantized_weights() {
    let (n, rows, columns) = (40, 50, 100);
    let matrix = Quantized::random([rows, columns], QuantFormat::Int8, 5);
    let mut x = random(n * columns, 6);
    x[35 * columns + 99] = f32::NAN;
    let mut y = vec![0.0; n * rows];
    matmul_t_quantized(&x, &mut [(matrix.view(), &mut y)]);
    for (i, y) in y.iter().enumerate() {
        assert_eq!(y.is_nan(), i / rows == 35);
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let columns = 300;
    // Many panels, and so few that threads share them.
    for rows in [1001, 40] {
        let weight = random(rows * columns, 7);
        let matrix = Matrix::new(&weight, columns);
        let quantized = Quantized::random([rows, columns], QuantFormat::Int4, 8);
        let blocks = random_blocks(rows, BlockFormat::Q5_1, 288, 8);
        let blocks = BlockMatrix::new(BlockFormat::Q5_1, &blocks, 288);
        for n in [33, 150] {
            let x = random(n * columns, 9);
            assert_same_on_any_threads(&format!("{rows} rows, n {n}"), || {
                let [mut a, mut b, mut c] = [(); 3].map(|()| vec![f32::NAN; n * rows]);
                matmul_t(&x, &mut [(matrix, &mut a)]);
                matmul_t_quantized(&x, &mut [(quantized.view(), &mut b)]);
                matmul_t_blocks(&x[..n * 288], &mut [(blocks, &mut c)]);
                (a, b, c)
            });
        }
    }
}

/// What `multiply` makes of several matrices of so many columns at once is what it makes of each.
fn check_together<M: Copy>(
    columns: usize,
    n: usize,
    matrices: &[(M, usize)],
    multiply: impl Fn(&[f32], &mut [(M, &mut [f32])]),
) {
    let x = random(n * columns, 10);
    let outputs = || matrices.iter().map(|(_, rows)| vec![f32::NAN; n * rows]);
    let mut together: Vec<_> = outputs().collect();
    let slices = together.iter_mut().map(Vec::as_mut_slice);
    let mut products: Vec<_> = matrices.iter().map(|(m, _)| *m).zip(slices).collect();
    multiply(&x, &mut products);
    for ((matrix, _), (mut alone, together)) in matrices.iter().zip(outputs().zip(&together)) {
        multiply(&x, &mut [(*matrix, &mut alone)]);
        assert_eq!(&alone, together);
    }
}

#[test]
fn several_matrices_together_are_as_each_alone() {
    let weights = [512, 0, 129, 1].map(|rows| random(rows * 260, rows as u64));
    let matrices = weights.each_ref().map(|weight| {
        let matrix = Matrix::new(weight, 260);
        (matrix, matrix.rows())
    });
    check_together(260, 140, &matrices, |x, products| matmul_t(x, products));

    let stored = [(QuantFormat::Int4, 70), (QuantFormat::Int8, 0), (QuantFormat::Int8, 33)]
        .map(|(format, rows)| Quantized::random([rows, 260], format, rows as u64));
    let matrices = stored.each_ref().map(|matrix| (matrix.view(), matrix.rows()));
    check_together(260, 50, &matrices, |x, products| matmul_t_quantized(x, products));

    // Of every grouping, in an order that mixes them.
    let formats = [BlockFormat::Q4K, BlockFormat::Q6K, BlockFormat::Q8_0, BlockFormat::Q2K, BlockFormat::Q5K];
    let rows = [40, 1, 70, 0, 33];
    let blocks = [0, 1, 2, 3, 4].map(|i| (rows[i], formats[i], random_blocks(rows[i], formats[i], 256, i as u64)));
    let matrices = blocks.each_ref().map(|(rows, format, blocks)| (BlockMatrix::new(*format, blocks, 256), *rows));
    check_together(256, 50, &matrices, |x, products| matmul_t_blocks(x, products));
}

#[test]
fn more_vectors_than_the_cache_holds_are_the_definition() {
    let (n, rows, columns) = (1100, 3, 4100);
    let x = random(n * columns, 12);
    let weight = random(rows * columns, 13);
    let mut y = vec![f32::NAN; n * rows];
    matmul_t(&x, &mut [(Matrix::new(&weight, columns), &mut y)]);
    assert_products(&x, &weight, &y, columns, "1100 vectors");
}

#[test]
fn no_rows_give_nothing_and_no_columns_give_zeros() {
    fn empty<T: Float>(columns: usize) -> Matrix<'static, T> {
        Matrix::new(&[], columns)
    }
    matmul_t::<f32>(&[], &mut []);
    matmul_t::<f32>(&[0.0; 500], &mut [(empty(2), &mut [])]);
    matmul_t_bf16(&[bf16::ZERO; 500], &mut [(empty(2), &mut [])]);
    let one = Matrix::new(&[1.0_f32; 5], 5);
    gemm(Isa::best(), &[], &mut [(one, &mut [])], 5);
    let mut y = [f32::NAN; 6];
    matmul_t::<f32>(&[], &mut [(empty(0), &mut y)]);
    assert_eq!(y, [0.0; 6]);
}

#[test]
#[should_panic(expected = "y is [n, rows]")]
fn contradicting_lengths_panic() {
    let weight = Matrix::new(&[1.0_f32; 4], 2);
    matmul_t(&[1.0; 400], &mut [(weight, &mut [0.0; 3])]);
}
