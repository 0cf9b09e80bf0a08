//! The two products of attention for a few rows, with vectors along `head_dim`.
//!
//! Vectors are made in loops, not in closures: a closure that is not inlined is compiled for the base instructions.

use super::kept::{Row, Vectors};
use crate::simd_ext::{MAX_LANES, SimdExt};

/// Keys at a time: their values stay in the L1 cache until all their scores are known.
pub(super) const BLOCK: usize = 64;

/// The scores of R queries with `len` keys, while their values `v` are asked for.
///
/// # Safety
/// `k` holds `len` vectors, and `q` R of as many numbers each.
#[inline(always)]
pub(super) unsafe fn scores<S: SimdExt, V: Vectors, const R: usize, const K: usize>(
    simd: S,
    q: &[f32],
    k: V,
    len: usize,
    v: V,
    scores: &mut [[f32; BLOCK]; R],
) {
    let (head_dim, lanes) = (q.len() / R, S::F32_LANES);
    let q = q.as_ptr();
    let mut sums = [[simd.splat_f32s(0.0); MAX_LANES]; R];
    for first in (0..len).step_by(lanes) {
        let keys = lanes.min(len - first);
        for key in first..first + keys {
            v.prefetch(key, 0, head_dim);
        }
        let mut key = 0;
        while key + K <= keys {
            // SAFETY: the caller's.
            let products = unsafe { dot::<S, V, R, K>(simd, q, k, first + key, head_dim) };
            for (sums, products) in sums.iter_mut().zip(products) {
                for (i, product) in products.into_iter().enumerate() {
                    sums[key + i] = product;
                }
            }
            key += K;
        }
        while key < keys {
            // SAFETY: the caller's.
            let products = unsafe { dot::<S, V, R, 1>(simd, q, k, first + key, head_dim) };
            for (sums, [product]) in sums.iter_mut().zip(products) {
                sums[key] = product;
            }
            key += 1;
        }
        for (scores, sums) in scores.iter_mut().zip(&sums) {
            // SAFETY: a block is a whole number of registers.
            unsafe { save(simd, scores[first..first + lanes].as_mut_ptr(), lanes, simd.sum_each(&sums[..lanes])) };
        }
    }
}

/// The products of R queries with K keys, lane by lane.
///
/// # Safety
/// `q` holds R vectors of `head_dim`, and `k` K from `key` on.
#[inline(always)]
unsafe fn dot<S: SimdExt, V: Vectors, const R: usize, const K: usize>(
    simd: S,
    q: *const f32,
    k: V,
    key: usize,
    head_dim: usize,
) -> [[S::f32s; K]; R] {
    // SAFETY: the caller's.
    let mut rows = unsafe { [k.row(key); K] };
    for (i, row) in rows.iter_mut().enumerate() {
        // SAFETY: the caller's.
        *row = unsafe { k.row(key + i) };
    }
    let mut products = [[simd.splat_f32s(0.0); K]; R];
    let whole = head_dim / S::F32_LANES * S::F32_LANES;
    let mut at = 0;
    while at < whole {
        // SAFETY: the caller's, for `at + lanes <= head_dim`.
        unsafe { multiply::<S, V, R, K>(simd, q, &rows, head_dim, at, S::F32_LANES, &mut products) };
        at += S::F32_LANES;
    }
    if whole < head_dim {
        // SAFETY: the caller's.
        unsafe { multiply::<S, V, R, K>(simd, q, &rows, head_dim, whole, head_dim - whole, &mut products) };
    }
    products
}

/// Adds the products of `len` numbers from `at` on.
///
/// # Safety
/// They are there.
#[inline(always)]
unsafe fn multiply<S: SimdExt, V: Vectors, const R: usize, const K: usize>(
    simd: S,
    q: *const f32,
    rows: &[V::Row; K],
    head_dim: usize,
    at: usize,
    len: usize,
    products: &mut [[S::f32s; K]; R],
) {
    let mut keys = [simd.splat_f32s(0.0); K];
    for (key, row) in keys.iter_mut().zip(rows) {
        // SAFETY: the caller's.
        *key = unsafe { row.load(simd, at, len) };
    }
    for (row, products) in products.iter_mut().enumerate() {
        // SAFETY: as above.
        let q = unsafe { q.add(row * head_dim).load(simd, at, len) };
        for (product, key) in products.iter_mut().zip(&keys) {
            *product = simd.multiply_add(q, *key, *product);
        }
    }
}

/// Shrinks the rows by their factors, and adds `len` values by their weights, while the `next` keys are asked for.
///
/// # Safety
/// `v` holds `len` vectors of as many numbers as a row of `sums`.
#[inline(always)]
pub(super) unsafe fn weighted_sum<S: SimdExt, V: Vectors, const R: usize, const C: usize>(
    simd: S,
    weights: &[[f32; BLOCK]; R],
    factors: [f32; R],
    v: V,
    len: usize,
    next: (V, usize),
    sums: &mut [f32],
) {
    let head_dim = sums.len() / R;
    let lanes = S::F32_LANES;
    let (whole, blocks) = (head_dim / lanes * lanes, head_dim / (C * lanes) * (C * lanes));
    let sums = sums.as_mut_ptr();
    // SAFETY: the caller's, as all columns are below `head_dim`.
    unsafe {
        for at in (0..blocks).step_by(C * lanes) {
            columns::<S, V, R, C>(simd, weights, factors, v, at, len, next, sums.add(at), head_dim, lanes);
        }
        for at in (blocks..whole).step_by(lanes) {
            columns::<S, V, R, 1>(simd, weights, factors, v, at, len, next, sums.add(at), head_dim, lanes);
        }
        if whole < head_dim {
            let rest = head_dim - whole;
            columns::<S, V, R, 1>(simd, weights, factors, v, whole, len, next, sums.add(whole), head_dim, rest);
        }
    }
}

/// The same for C registers of each row from number `at` on, of `width` floats each.
///
/// # Safety
/// They are there, in `to` every `head_dim`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "two matrices and their layout")]
unsafe fn columns<S: SimdExt, V: Vectors, const R: usize, const C: usize>(
    simd: S,
    weights: &[[f32; BLOCK]; R],
    factors: [f32; R],
    v: V,
    at: usize,
    len: usize,
    (next, next_len): (V, usize),
    to: *mut f32,
    head_dim: usize,
    width: usize,
) {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    for (row, sums) in sums.iter_mut().enumerate() {
        let factor = simd.splat_f32s(factors[row]);
        for (vector, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let before = unsafe { to.cast_const().add(row * head_dim).load(simd, vector * lanes, width) };
            *sum = simd.mul_f32s(before, factor);
        }
    }
    for key in 0..len {
        if key < next_len {
            next.prefetch(key, at, C * lanes);
        }
        // SAFETY: the caller's.
        let of_key = unsafe { v.row(key) };
        let mut values = [simd.splat_f32s(0.0); C];
        for (vector, value) in values.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *value = unsafe { of_key.load(simd, at + vector * lanes, width) };
        }
        for (sums, weights) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(weights[key]);
            for (sum, value) in sums.iter_mut().zip(&values) {
                *sum = simd.multiply_add(weight, *value, *sum);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (vector, sum) in sums.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { save(simd, to.add(row * head_dim + vector * lanes), width, *sum) };
        }
    }
}

/// The first `len` floats of a vector.
///
/// # Safety
/// They can be written.
#[inline(always)]
pub(super) unsafe fn save<S: SimdExt>(simd: S, at: *mut f32, len: usize, vector: S::f32s) {
    // SAFETY: the caller's.
    if len == S::F32_LANES {
        unsafe { at.cast::<S::f32s>().write_unaligned(vector) };
    } else {
        simd.partial_store_f32s(unsafe { std::slice::from_raw_parts_mut(at, len) }, vector);
    }
}
