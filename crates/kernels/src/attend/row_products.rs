//! The two products of attention for a few rows, with vectors along `head_dim`.
//!
//! Vectors are made in loops, not in closures: a closure that is not inlined is compiled for the base instructions.

use crate::{
    float::{Float, zero_padded},
    prefetch::prefetch,
    simd_ext::SimdExt,
};

/// Keys at a time: their values stay in the L1 cache until all their scores are known.
pub(super) const BLOCK: usize = 64;

/// How far ahead of the vectors in use memory is asked for. Vectors come one after the other, a few lines at a time: a whole
/// block at once would wait for the few lines that a core can have on their way.
const AHEAD_BYTES: usize = 8 << 10;

/// Vectors of `head_dim` in [`AHEAD_BYTES`].
pub(super) fn vectors_ahead<T>(head_dim: usize) -> usize {
    AHEAD_BYTES.div_ceil((head_dim * size_of::<T>()).max(1))
}

/// The scores of R queries with `len` keys.
///
/// # Safety
/// `k` holds `len` vectors of `head_dim`, `stride` apart, and `q` R of them.
#[inline(always)]
pub(super) unsafe fn scores<S: SimdExt, T: Float, const R: usize, const K: usize>(
    simd: S,
    q: &[f32],
    k: *const T,
    stride: usize,
    len: usize,
    scores: &mut [[f32; BLOCK]; R],
) {
    let head_dim = q.len() / R;
    let ahead = vectors_ahead::<T>(head_dim);
    let mut key = 0;
    while key + K <= len {
        for next in key + ahead..key + ahead + K {
            prefetch_vector(k.wrapping_add(next * stride), head_dim);
        }
        // SAFETY: the caller's.
        let sums = unsafe { dot::<S, T, R, K>(simd, q.as_ptr(), k.add(key * stride), stride, head_dim) };
        for (scores, sums) in scores.iter_mut().zip(sums) {
            scores[key..key + K].copy_from_slice(&sums);
        }
        key += K;
    }
    while key < len {
        // SAFETY: the caller's.
        let sums = unsafe { dot::<S, T, R, 1>(simd, q.as_ptr(), k.add(key * stride), stride, head_dim) };
        for (scores, [sum]) in scores.iter_mut().zip(sums) {
            scores[key] = sum;
        }
        key += 1;
    }
}

/// # Safety
/// `q` holds R vectors of `head_dim`, and `k` K of them, `stride` apart.
#[inline(always)]
unsafe fn dot<S: SimdExt, T: Float, const R: usize, const K: usize>(
    simd: S,
    q: *const f32,
    k: *const T,
    stride: usize,
    head_dim: usize,
) -> [[f32; K]; R] {
    let mut sums = [[simd.splat_f32s(0.0); K]; R];
    let mut at = 0;
    while at < head_dim {
        let len = S::F32_LANES.min(head_dim - at);
        let mut keys = [simd.splat_f32s(0.0); K];
        for (key, vector) in keys.iter_mut().enumerate() {
            // SAFETY: the caller's, for `at + len <= head_dim`.
            *vector = unsafe { load(simd, k.add(key * stride + at), len) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let q = unsafe { load(simd, q.add(row * head_dim + at), len) };
            for (sum, key) in sums.iter_mut().zip(&keys) {
                *sum = simd.multiply_add(q, *key, *sum);
            }
        }
        at += len;
    }
    let mut dots = [[0.0; K]; R];
    for (dots, sums) in dots.iter_mut().zip(&sums) {
        for (dot, sum) in dots.iter_mut().zip(sums) {
            *dot = simd.reduce_sum_f32s(*sum);
        }
    }
    dots
}

/// Shrinks the rows by their factors, and adds `len` values by their weights.
///
/// # Safety
/// `v` holds `len` vectors of `head_dim`, `stride` apart.
#[inline(always)]
pub(super) unsafe fn weighted_sum<S: SimdExt, T: Float, const R: usize, const V: usize>(
    simd: S,
    weights: &[[f32; BLOCK]; R],
    factors: [f32; R],
    v: *const T,
    stride: usize,
    len: usize,
    sums: &mut [f32],
) {
    let head_dim = sums.len() / R;
    let lanes = S::F32_LANES;
    let (whole, blocks) = (head_dim / lanes * lanes, head_dim / (V * lanes) * (V * lanes));
    let sums = sums.as_mut_ptr();
    // SAFETY: the caller's, as all columns are below `head_dim`.
    unsafe {
        for at in (0..blocks).step_by(V * lanes) {
            columns::<S, T, R, V>(simd, weights, factors, v.add(at), stride, len, sums.add(at), head_dim, lanes);
        }
        for at in (blocks..whole).step_by(lanes) {
            columns::<S, T, R, 1>(simd, weights, factors, v.add(at), stride, len, sums.add(at), head_dim, lanes);
        }
        if whole < head_dim {
            let rest = head_dim - whole;
            columns::<S, T, R, 1>(simd, weights, factors, v.add(whole), stride, len, sums.add(whole), head_dim, rest);
        }
    }
}

/// The same for V vectors of each row, of `width` floats each.
///
/// # Safety
/// They are there, in `to` every `head_dim` and in `v` every `stride`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "two matrices and their layout")]
unsafe fn columns<S: SimdExt, T: Float, const R: usize, const V: usize>(
    simd: S,
    weights: &[[f32; BLOCK]; R],
    factors: [f32; R],
    v: *const T,
    stride: usize,
    len: usize,
    to: *mut f32,
    head_dim: usize,
    width: usize,
) {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (row, sums) in sums.iter_mut().enumerate() {
        let factor = simd.splat_f32s(factors[row]);
        for (vector, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let before = unsafe { load(simd, to.add(row * head_dim + vector * lanes), width) };
            *sum = simd.mul_f32s(before, factor);
        }
    }
    let ahead = vectors_ahead::<T>(head_dim);
    for key in 0..len {
        prefetch_vector(v.wrapping_add((key + ahead) * stride), V * lanes);
        let mut values = [simd.splat_f32s(0.0); V];
        for (vector, value) in values.iter_mut().enumerate() {
            // SAFETY: the caller's.
            *value = unsafe { load(simd, v.add(key * stride + vector * lanes), width) };
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

/// Asks for `len` floats.
#[inline(always)]
pub(super) fn prefetch_vector<T>(vector: *const T, len: usize) {
    const LINE: usize = 64;
    for at in (0..len * size_of::<T>()).step_by(LINE) {
        prefetch(vector.wrapping_byte_add(at));
    }
}

/// `len` numbers as float32, at most a vector, padded with zeros.
///
/// # Safety
/// They can be read.
#[inline(always)]
unsafe fn load<S: SimdExt, T: Float>(simd: S, at: *const T, len: usize) -> S::f32s {
    // SAFETY: the caller's.
    let packed = if len == S::F32_LANES {
        unsafe { at.cast::<T::Packed<S>>().read_unaligned() }
    } else {
        zero_padded::<T, S>(unsafe { std::slice::from_raw_parts(at, len) })
    };
    T::widen(simd, packed)
}

/// The first `len` floats of a vector.
///
/// # Safety
/// They can be written.
#[inline(always)]
unsafe fn save<S: SimdExt>(simd: S, at: *mut f32, len: usize, vector: S::f32s) {
    // SAFETY: the caller's.
    if len == S::F32_LANES {
        unsafe { at.cast::<S::f32s>().write_unaligned(vector) };
    } else {
        simd.partial_store_f32s(unsafe { std::slice::from_raw_parts_mut(at, len) }, vector);
    }
}
