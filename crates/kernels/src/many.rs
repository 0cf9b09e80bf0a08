//! Projections of many vectors, as a prompt needs them: by [`panel`] once that is ahead of reading weights as they lie.

use half::{bf16, slice::HalfFloatSliceExt};

use super::{
    lanes::Level,
    panel::{
        self,
        floats::{Floats, Fma},
        pack::{Matrix, Single},
        square::Square,
    },
    project::project_all,
    quantized::project_codes,
    weight::Weight,
};
#[cfg(target_arch = "x86_64")]
use super::{
    panel::{
        codes::{ByteDots, Quantized},
        floats::PairDots,
        pack::Plain,
    },
    quantized::{Activations, Order},
};
use crate::codes::Codes;

/// Vectors from which repacking has paid for itself: with weights of 32 bits, ...
const MANY_FROM: usize = 32;

/// ... of 16 bits by vectors of 32, which read half as much where they lie and are multiplied no faster, ...
const MANY_HALVES_FROM: usize = 64;

/// ... of 16 bits by vectors of 16, ...
#[cfg(target_arch = "x86_64")]
const MANY_PAIRS_FROM: usize = 16;

/// ... and of 8 or 4 bits.
#[cfg(target_arch = "x86_64")]
const MANY_CODES_FROM: usize = 16;

/// [`project_all`] for any `n`: `x` `[n, columns]` times each `weight` `[rows, columns]` -> its `y` `[n, rows]`, all in float32,
/// with the same bound of the error: `2 columns u` of the sum of magnitudes, with unit roundoff `u`.
///
/// The result does not depend on the number of threads; a row of it on `n`, but not on the other rows.
///
/// # Panics
/// As [`project_all`].
pub fn project_many<W: Weight>(x: &[f32], products: &mut [(&[W], &mut [f32])], columns: usize) {
    let from = match size_of::<W>() < size_of::<f32>() {
        true => MANY_HALVES_FROM,
        false => MANY_FROM,
    };
    match columns > 0 && x.len() / columns >= from {
        true => project_at(Level::best(), x, products, columns),
        false => project_all(x, products, columns),
    }
}

/// By panels, with chosen instructions; `columns` is at least one.
fn project_at<W: Weight>(
    level: Level,
    x: &[f32],
    products: &mut [(&[W], &mut [f32])],
    columns: usize,
) {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(simd) => project_with(simd, x, products, columns),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(simd) => project_with(simd, x, products, columns),
        #[cfg(target_arch = "aarch64")]
        Level::Neon(simd) => project_with(simd, x, products, columns),
        Level::Portable => project_with(pulp::Scalar256b, x, products, columns),
    }
}

fn project_with<S: Square, W: Weight>(
    simd: S,
    x: &[f32],
    products: &mut [(&[W], &mut [f32])],
    columns: usize,
) {
    let x = Floats::<_, Single<f32>, Single<W>>::new(Fma(simd), x, columns);
    let products = products.iter_mut();
    let mut products: Vec<_> = products
        .map(|(weight, y)| (Matrix::new(weight, columns), &mut **y))
        .collect();
    panel::multiply(&x, &mut products);
}

/// The same of bfloat16 vectors and weights, which then needs no float32 but for the sums where the processor multiplies
/// bfloat16 itself: products are exact, sums rounded to nearest, numbers below 2^-126 taken as zero.
///
/// # Panics
/// As [`project_all`].
pub fn project_many_bf16(x: &[bf16], products: &mut [(&[bf16], &mut [f32])], columns: usize) {
    #[cfg(target_arch = "x86_64")]
    if columns > 0
        && x.len() / columns >= MANY_PAIRS_FROM
        && let Some(dots) = PairDots::try_new()
    {
        return project_pairs(dots, x, products, columns);
    }
    project_many(&x.to_f32_vec(), products, columns);
}

#[cfg(target_arch = "x86_64")]
fn project_pairs(
    dots: PairDots,
    x: &[bf16],
    products: &mut [(&[bf16], &mut [f32])],
    columns: usize,
) {
    let x = Floats::<_, Plain<u16>, Plain<u16>>::new(dots, x.reinterpret_cast(), columns);
    let products = products.iter_mut();
    let mut products: Vec<_> = products
        .map(|(weight, y)| (Matrix::new(weight.reinterpret_cast(), columns), &mut **y))
        .collect();
    panel::multiply(&x, &mut products);
}

/// [`project_codes`] for any `n`, with the same arithmetic: float32 sums of exact products of a block.
///
/// # Panics
/// As [`project_codes`].
pub fn project_many_codes(x: &[f32], products: &mut [(Codes<'_>, &mut [f32])], columns: usize) {
    #[cfg(target_arch = "x86_64")]
    if columns > 0
        && x.len() / columns >= MANY_CODES_FROM
        && let Some(dots) = ByteDots::try_new()
    {
        return project_bytes(dots, x, products, columns);
    }
    project_codes(x, products, columns);
}

#[cfg(target_arch = "x86_64")]
fn project_bytes(
    dots: ByteDots,
    x: &[f32],
    products: &mut [(Codes<'_>, &mut [f32])],
    columns: usize,
) {
    assert_eq!(x.len() % columns, 0, "x is [n, columns]");
    let n = x.len() / columns;
    let x = Activations::new(x, columns, Order::Plain);
    let products = products.iter_mut();
    let mut products: Vec<_> = products
        .map(|(weight, y)| {
            assert_eq!(weight.columns, columns, "weight is [rows, columns]");
            (*weight, &mut **y)
        })
        .collect();
    panel::multiply(&Quantized::new(dots, &x, n, columns), &mut products);
}

#[cfg(test)]
mod tests;
