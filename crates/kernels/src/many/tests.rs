//! Panels against their definition in float64, with all instructions that this machine has.

use half::f16;

use super::*;
use crate::{
    codes::{self, BLOCK, Bits, blocks},
    noise::noise,
};

/// Rows and columns: around the sizes of panels, of units and of blocks.
const SHAPES: [[usize; 2]; 15] = [
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
];

/// Vectors: around the sizes of groups.
const COUNTS: [usize; 14] = [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 24, 31, 40, 129];

const UNIT_ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// Every product within the bound of a float32 sum in any order: `2 columns u` of the sum of magnitudes (Higham, Accuracy and
/// Stability, 3.1).
fn assert_products(x: &[f32], weight: &[f32], y: &[f32], columns: usize, what: &str) {
    let rows = weight.len() / columns;
    assert_eq!(y.len(), x.len() / columns * rows);
    for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
        for (r, (w, y)) in weight.chunks(columns).zip(y).enumerate() {
            let terms = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, m), t| (s + t, m + t.abs()));
            let error = (f64::from(*y) - sum).abs();
            let bound = 2.0 * columns as f64 * UNIT_ROUNDOFF * size;
            assert!(error <= bound, "{what}, row {r}: {y} is not {sum}");
        }
    }
}

/// Each vector alone gives the bits that it gives among others.
fn assert_rows_alone(
    x: &[f32],
    y: &[f32],
    columns: usize,
    what: &str,
    multiply: impl Fn(&[f32], &mut [f32]),
) {
    let rows = y.len() / (x.len() / columns);
    for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
        let mut alone = vec![f32::NAN; rows];
        multiply(x, &mut alone);
        assert_eq!(alone, y, "{what}");
    }
}

fn check<W: Weight>(store: fn(f32) -> W, load: fn(W) -> f32) {
    for [rows, columns] in SHAPES {
        let weight: Vec<W> = noise(rows * columns, 1).into_iter().map(store).collect();
        let exact: Vec<f32> = weight.iter().map(|w| load(*w)).collect();
        for n in COUNTS {
            let x = noise(n * columns, 2);
            for level in Level::all() {
                let multiply = |x: &[f32], y: &mut [f32]| {
                    project_at(level, x, &mut [(&weight, y)], columns);
                };
                let mut y = vec![f32::NAN; n * rows];
                multiply(&x, &mut y);
                let what = format!("{level:?}, n {n}, {rows} x {columns}");
                assert_products(&x, &exact, &y, columns, &what);
                assert_rows_alone(&x, &y, columns, &what, multiply);
            }
            let mut y = vec![f32::NAN; n * rows];
            project_many(&x, &mut [(&weight, &mut y)], columns);
            assert_products(&x, &exact, &y, columns, "project_many");
        }
    }
}

#[test]
fn float32() {
    check(|x| x, |x| x);
}

#[test]
fn binary16() {
    check(f16::from_f32, f16::to_f32);
}

#[test]
fn bfloat16() {
    check(bf16::from_f32, bf16::to_f32);
}

fn narrowed(values: Vec<f32>) -> Vec<bf16> {
    values.into_iter().map(bf16::from_f32).collect()
}

#[test]
fn bfloat16_by_bfloat16() {
    for [rows, columns] in SHAPES {
        let weight = narrowed(noise(rows * columns, 1));
        for n in COUNTS {
            let x = narrowed(noise(n * columns, 2));
            let (wide, exact) = (x.to_f32_vec(), weight.to_f32_vec());
            let mut y = vec![f32::NAN; n * rows];
            project_many_bf16(&x, &mut [(&weight, &mut y)], columns);
            assert_products(&wide, &exact, &y, columns, "project_many_bf16");
            #[cfg(target_arch = "x86_64")]
            if let Some(dots) = PairDots::try_new() {
                let multiply = |x: &[f32], y: &mut [f32]| {
                    project_pairs(dots, &narrowed(x.to_vec()), &mut [(&weight, y)], columns);
                };
                multiply(&wide, &mut y);
                let what = format!("n {n}, {rows} x {columns}");
                assert_products(&wide, &exact, &y, columns, &what);
                assert_rows_alone(&wide, &y, columns, &what, multiply);
            }
        }
    }
}

/// Any codes at all, and scales.
fn coded(rows: usize, columns: usize, bits: Bits, seed: u64) -> (Vec<i32>, Vec<f16>) {
    let words = noise(2 * rows * codes::words(columns, bits), seed);
    let words = words.as_chunks().0.iter();
    let words = words.map(|[a, b]| (a.to_bits() << 9 ^ b.to_bits() >> 3) as i32);
    let scales = noise(rows * blocks(columns), seed + 1);
    (
        words.collect(),
        scales.into_iter().map(f16::from_f32).collect(),
    )
}

/// Within the bound of float32 sums of exact products of blocks, each of which is multiplied with a rounded product of scales.
#[cfg(target_arch = "x86_64")]
fn assert_coded(x: &[f32], weight: Codes<'_>, y: &[f32]) {
    let (columns, rows) = (weight.columns, weight.rows());
    let mut exact = vec![0.0; rows * columns];
    codes::decode(
        weight.codes,
        weight.scales,
        columns,
        weight.bits,
        &mut exact,
    );
    let quantized = Activations::new(x, columns, Order::Plain);
    for (i, y) in y.chunks(rows).enumerate() {
        let x = quantized.vector(i);
        for (w, y) in exact.chunks(columns).zip(y) {
            let (mut sum, mut size) = (0.0, 0.0);
            for (block, w) in w.chunks(BLOCK).enumerate() {
                let codes = &x.codes[block * BLOCK..];
                let terms = codes
                    .iter()
                    .zip(w)
                    .map(|(x, w)| f64::from(*x) * f64::from(*w));
                let product = terms.sum::<f64>() * f64::from(x.scales[block]);
                sum += product;
                size += product.abs();
            }
            let error = (f64::from(*y) - sum).abs();
            let bound = 2.0 * (blocks(columns) + 2) as f64 * UNIT_ROUNDOFF * size;
            assert!(error <= bound, "{rows} x {columns}: {y} is not {sum}");
        }
    }
}

#[test]
fn codes_of_8_and_4_bits() {
    for bits in [Bits::Eight, Bits::Four] {
        for [rows, columns] in SHAPES {
            let (codes, scales) = coded(rows, columns, bits, 3);
            let weight = Codes::new(bits, &codes, &scales, columns);
            for n in COUNTS {
                let x = noise(n * columns, 4);
                let mut y = vec![f32::NAN; n * rows];
                project_many_codes(&x, &mut [(weight, &mut y)], columns);
                let mut thin = vec![f32::NAN; n * rows];
                project_codes(&x, &mut [(weight, &mut thin)], columns);
                let near = |(a, b): (&f32, &f32)| (a - b).abs() < 0.002 * columns as f32;
                assert!(y.iter().zip(&thin).all(near));

                #[cfg(target_arch = "x86_64")]
                if let Some(dots) = ByteDots::try_new() {
                    let multiply = |x: &[f32], y: &mut [f32]| {
                        project_bytes(dots, x, &mut [(weight, y)], columns);
                    };
                    multiply(&x, &mut y);
                    assert_coded(&x, weight, &y);
                    let what = format!("{bits} bits, n {n}, {rows} x {columns}");
                    assert_rows_alone(&x, &y, columns, &what, multiply);
                }
            }
        }
    }
}

#[test]
fn infinity_and_nan_stay_in_their_rows_and_vectors() {
    let (n, rows, columns) = (14, 50, 37);
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let expect = |y: &[f32], hit: &dyn Fn(usize) -> bool| {
            for (i, y) in y.iter().enumerate() {
                let expected = if hit(i) { bad } else { 37.0 };
                assert!(*y == expected || hit(i) && bad.is_nan() && y.is_nan());
            }
        };
        for level in Level::all() {
            let mut x = vec![1.0; n * columns];
            let mut weight = vec![1.0; rows * columns];
            let mut y = vec![0.0; n * rows];
            weight[17 * columns + 36] = bad;
            project_at(level, &x, &mut [(&weight, &mut y)], columns);
            expect(&y, &|i| i % rows == 17);
            weight.fill(1.0);
            x[13 * columns + 3] = bad;
            project_at(level, &x, &mut [(&weight, &mut y)], columns);
            expect(&y, &|i| i / rows == 13);
        }
    }
}

#[test]
fn a_vector_with_nan_is_alone_with_it_among_codes() {
    let (n, rows, columns) = (40, 50, 100);
    let (codes, scales) = coded(rows, columns, Bits::Eight, 5);
    let weight = Codes::new(Bits::Eight, &codes, &scales, columns);
    let mut x = noise(n * columns, 6);
    x[35 * columns + 99] = f32::NAN;
    let mut y = vec![0.0; n * rows];
    project_many_codes(&x, &mut [(weight, &mut y)], columns);
    for (i, y) in y.iter().enumerate() {
        assert_eq!(y.is_nan(), i / rows == 35);
    }
}

/// Runs on so many threads.
fn on<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(run)
}

#[test]
fn the_result_does_not_depend_on_the_threads() {
    let columns = 300;
    // Many panels, and so few that threads share them.
    for rows in [1001, 40] {
        let weight = noise(rows * columns, 7);
        let (codes, scales) = coded(rows, columns, Bits::Four, 8);
        let codes = Codes::new(Bits::Four, &codes, &scales, columns);
        for n in [33, 150] {
            let x = noise(n * columns, 9);
            let products = |threads| {
                on(threads, || {
                    let [mut a, mut b] = [vec![f32::NAN; n * rows], vec![f32::NAN; n * rows]];
                    project_many(&x, &mut [(&weight, &mut a)], columns);
                    project_many_codes(&x, &mut [(codes, &mut b)], columns);
                    (a, b)
                })
            };
            let one = products(1);
            for threads in [2, 3, 7] {
                assert!(products(threads) == one, "{threads} threads, n {n}");
            }
        }
    }
}

#[test]
fn several_matrices_together_are_as_each_alone() {
    let (n, columns) = (140, 260);
    let x = noise(n * columns, 10);
    let weights = [512, 0, 129, 1].map(|rows| noise(rows * columns, rows as u64));
    let mut together = weights
        .each_ref()
        .map(|w| vec![f32::NAN; n * w.len() / columns]);
    let outputs = together.iter_mut().map(Vec::as_mut_slice);
    let mut products: Vec<_> = weights.iter().map(Vec::as_slice).zip(outputs).collect();
    project_many(&x, &mut products, columns);
    for (weight, together) in weights.iter().zip(&together) {
        let mut alone = vec![f32::NAN; together.len()];
        project_many(&x, &mut [(weight.as_slice(), &mut alone)], columns);
        assert_eq!(&alone, together);
    }
}

#[test]
fn matrices_of_8_and_4_bits_together_are_as_each_alone() {
    let (n, columns) = (50, 260);
    let x = noise(n * columns, 11);
    let matrices = [(Bits::Four, 70), (Bits::Eight, 0), (Bits::Eight, 33)];
    let stored = matrices.map(|(bits, rows)| coded(rows, columns, bits, rows as u64));
    let weights: Vec<_> = matrices
        .iter()
        .zip(&stored)
        .map(|((bits, _), (codes, scales))| Codes::new(*bits, codes, scales, columns))
        .collect();
    let mut together = matrices.map(|(_, rows)| vec![f32::NAN; n * rows]);
    let outputs = together.iter_mut().map(Vec::as_mut_slice);
    let mut products: Vec<_> = weights.iter().copied().zip(outputs).collect();
    project_many_codes(&x, &mut products, columns);
    for (weight, together) in weights.iter().zip(&together) {
        let mut alone = vec![f32::NAN; together.len()];
        project_many_codes(&x, &mut [(*weight, &mut alone)], columns);
        assert_eq!(&alone, together);
    }
}

#[test]
fn more_vectors_than_the_cache_holds() {
    let (n, rows, columns) = (1100, 3, 4100);
    let x = noise(n * columns, 12);
    let weight = noise(rows * columns, 13);
    let mut y = vec![f32::NAN; n * rows];
    project_many(&x, &mut [(&weight, &mut y)], columns);
    assert_products(&x, &weight, &y, columns, "many");
}

#[test]
fn nothing_gives_nothing_and_no_columns_give_zeros() {
    project_many::<f32>(&[], &mut [], 5);
    project_many::<f32>(&[0.0; 500], &mut [(&[], &mut [])], 2);
    project_many_bf16(&[bf16::ZERO; 500], &mut [(&[], &mut [])], 2);
    project_at::<f32>(Level::best(), &[], &mut [(&[1.0; 5], &mut [])], 5);
    let mut y = [f32::NAN; 6];
    project_many::<f32>(&[], &mut [(&[], &mut y)], 0);
    assert_eq!(y, [0.0; 6]);
}

#[test]
#[should_panic(expected = "y is [n, rows]")]
fn contradicting_lengths_panic() {
    project_many(&[1.0; 400], &mut [(&[1.0; 4], &mut [0.0; 3])], 2);
}
