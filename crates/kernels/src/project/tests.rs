//! The kernels against their definition in float64, at every level that this machine has.

use half::{bf16, f16};

use super::{project_all, project_at};
use crate::{lanes::Level, many::project_many, weight::Weight};

/// One projection alone.
fn project<W: Weight>(x: &[f32], weight: &[W], y: &mut [f32], columns: usize) {
    project_all(x, &mut [(weight, y)], columns);
}

/// Numbers in -1..1, by a linear congruential generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn take(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

/// Every product within the bound of a sum in float32 in any order: with unit roundoff `u`, `columns` products and as many
/// sums are off by at most `2 columns u` of the sum of magnitudes (Higham, Accuracy and Stability, 3.1).
fn assert_product(x: &[f32], weight: &[f32], y: &[f32], columns: usize, what: &str) {
    let rows = weight.len() / columns;
    for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
        for (r, (w, y)) in weight.chunks(columns).zip(y).enumerate() {
            let terms = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, m), t| (s + t, m + t.abs()));
            let bound = 2.0 * columns as f64 * 2f64.powi(-24) * size;
            let error = (f64::from(*y) - sum).abs();
            assert!(error <= bound, "{what}, row {r}: {y} is not {sum}");
        }
    }
}

const SHAPES: [[usize; 2]; 12] = [
    [1, 1],
    [3, 7],
    [5, 31],
    [2, 32],
    [13, 33],
    [25, 8],
    [49, 16],
    [7, 100],
    [1, 1000],
    [30, 1000],
    [97, 512],
    [6, 9000],
];

fn check<W: Weight>(store: fn(f32) -> W, load: fn(W) -> f32) {
    let mut random = Random(1);
    for [rows, columns] in SHAPES {
        let weight: Vec<W> = random.take(rows * columns).into_iter().map(store).collect();
        let exact: Vec<f32> = weight.iter().map(|w| load(*w)).collect();
        for n in (0..10).chain([17, 70]) {
            let x = random.take(n * columns);
            for level in Level::all() {
                let mut y = vec![f32::NAN; n * rows];
                project_at(level, &x, &mut [(&weight, &mut y)], columns);
                let what = format!("{level:?}, n {n}, {rows} x {columns}");
                assert_product(&x, &exact, &y, columns, &what);

                // Each vector alone gives the same bits.
                for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
                    let mut alone = vec![f32::NAN; rows];
                    project_at(level, x, &mut [(&weight, &mut alone)], columns);
                    assert_eq!(alone, y, "{what}");
                }
            }
            let mut y = vec![f32::NAN; n * rows];
            project_many(&x, &mut [(&weight, &mut y)], columns);
            assert_product(&x, &exact, &y, columns, "project_many");
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

/// Every bit pattern times one: subnormals, infinities and NaN come through.
fn check_widening<W: Weight>(from_bits: fn(u16) -> W, to_f32: fn(W) -> f32) {
    let weight: Vec<W> = (0..=u16::MAX).map(from_bits).collect();
    for level in Level::all() {
        // Columns of zeros around each would hide a NaN behind another, so each is a row of its own.
        let mut y = vec![0.0; weight.len()];
        project_at(level, &[1.0], &mut [(&weight, &mut y)], 1);
        for (w, y) in weight.iter().zip(&y) {
            let expected = to_f32(*w);
            let same = expected == *y || expected.is_nan() && y.is_nan();
            assert!(same, "{level:?}: {expected} became {y}");
        }

        // The same in whole vectors: 64 columns of which one counts.
        for at in [0, 3, 4, 7, 15, 16, 63] {
            let mut x = [0.0; 64];
            x[at] = 1.0;
            let mut y = vec![0.0; weight.len() / 64];
            project_at(level, &x, &mut [(&weight, &mut y)], 64);
            for (w, y) in weight.chunks(64).zip(&y) {
                let finite = w.iter().all(|w| to_f32(*w).is_finite());
                assert_eq!(finite, y.is_finite(), "{level:?}");
                assert!(!finite || *y == to_f32(w[at]), "{level:?}");
            }
        }
    }
}

#[test]
fn every_binary16_widens_exactly() {
    check_widening(f16::from_bits, f16::to_f32);
}

#[test]
fn every_bfloat16_widens_exactly() {
    check_widening(bf16::from_bits, bf16::to_f32);
}

#[test]
fn infinity_and_nan_stay_in_their_rows_and_vectors() {
    let (n, rows, columns) = (6, 30, 37);
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for level in Level::all() {
            let mut x = vec![1.0; n * columns];
            let mut weight = vec![1.0; rows * columns];
            weight[17 * columns + 36] = bad;
            let mut y = vec![0.0; n * rows];
            project_at(level, &x, &mut [(&weight, &mut y)], columns);
            for (i, y) in y.iter().enumerate() {
                let expected = if i % rows == 17 { bad } else { 37.0 };
                assert!(*y == expected || bad.is_nan() && i % rows == 17 && y.is_nan());
            }

            weight.fill(1.0);
            x[4 * columns + 3] = bad;
            project_at(level, &x, &mut [(&weight, &mut y)], columns);
            for (i, y) in y.iter().enumerate() {
                let expected = if i / rows == 4 { bad } else { 37.0 };
                assert!(*y == expected || bad.is_nan() && i / rows == 4 && y.is_nan());
            }
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_threads() {
    let (rows, columns) = (1001, 300);
    let mut random = Random(2);
    let weight = random.take(rows * columns);
    for n in [1, 3, 8, 20] {
        let x = random.take(n * columns);
        let on = |threads| {
            let mut y = vec![f32::NAN; n * rows];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap()
                .install(|| project(&x, &weight, &mut y, columns));
            y
        };
        let one = on(1);
        for threads in [2, 3, 7] {
            assert_eq!(on(threads), one, "{threads} threads, n {n}");
        }
    }
}

#[test]
fn several_matrices_together_are_as_each_alone() {
    let (n, columns) = (3, 260);
    let mut random = Random(3);
    let x = random.take(n * columns);
    let weights = [512, 0, 129, 1].map(|rows| random.take(rows * columns));
    let mut together = weights
        .each_ref()
        .map(|w| vec![f32::NAN; n * w.len() / columns]);
    let mut products: Vec<(&[f32], &mut [f32])> = weights
        .iter()
        .zip(&mut together)
        .map(|(w, y)| (w.as_slice(), y.as_mut_slice()))
        .collect();
    project_all(&x, &mut products, columns);
    for (weight, together) in weights.iter().zip(&together) {
        let mut alone = vec![f32::NAN; together.len()];
        project(&x, weight, &mut alone, columns);
        assert_eq!(&alone, together);
    }
}

#[test]
fn many_vectors_go_through_panels() {
    let mut random = Random(4);
    for (n, rows, columns) in [(128, 300, 65), (129, 1, 7), (200, 513, 1)] {
        let (x, weight) = (random.take(n * columns), random.take(rows * columns));
        let mut y = vec![f32::NAN; n * rows];
        // A second one beside it, so that panels of both are in the same region.
        let mut other = vec![f32::NAN; n * rows];
        let mut both: [(&[f32], &mut [f32]); 2] = [(&weight, &mut y), (&weight, &mut other)];
        project_many(&x, &mut both, columns);
        assert_eq!(y, other);
        assert_product(&x, &weight, &y, columns, "gemm");
    }
}

#[test]
fn nothing_gives_nothing_and_no_columns_give_zeros() {
    project::<f32>(&[], &[], &mut [], 5);
    project::<f32>(&[1.0; 5], &[], &mut [], 5);
    project_many::<f32>(&[0.0; 500], &mut [(&[], &mut [])], 2);
    let mut y = [f32::NAN; 6];
    project::<f32>(&[], &[], &mut y, 0);
    assert_eq!(y, [0.0; 6]);
}

#[test]
#[should_panic(expected = "y is [n, rows]")]
fn contradicting_lengths_panic() {
    project(&[1.0; 4], &[1.0; 4], &mut [0.0; 3], 2);
}
