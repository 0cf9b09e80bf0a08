//! The product of attention for many rows: a matrix where it lies times one whose columns are lanes.

use crate::simd_ext::SimdExt;

/// A matrix where it lies.
#[derive(Clone, Copy)]
pub(super) struct Strided {
    pub from: *const f32,
    pub row: usize,
    pub column: usize,
}

/// `a b`, or, with a factor for each column, `a b + out * factor`.
///
/// `a` `[m, n]`, `b` `[n, width]`, `out` `[m, width]`
///
/// # Safety
/// `a` can be read.
#[inline(always)]
pub(super) unsafe fn multiply<S: SimdExt>(
    simd: S,
    a: Strided,
    b: &[f32],
    factor: Option<&[f32]>,
    out: &mut [f32],
    width: usize,
) {
    let (m, n) = (out.len() / width, b.len() / width);
    assert!(width.is_multiple_of(S::F32_LANES) && factor.is_none_or(|factor| factor.len() == width));
    let factor = factor.map(|factor| factor.as_ptr());
    let out = out.as_mut_ptr();
    let mut from = 0;
    while from < width {
        // SAFETY: columns below `width`, rows below `m`.
        unsafe {
            let columns = Columns { b: b.as_ptr().add(from), factor: factor.map(|factor| factor.add(from)), n, width };
            let out = out.add(from);
            if from + 2 * S::F32_LANES <= width {
                columns.rows::<S, 2>(simd, a, out, m);
            } else {
                columns.rows::<S, 1>(simd, a, out, m);
            }
        }
        from += 2 * S::F32_LANES;
    }
}

/// One or two vectors of columns.
#[derive(Clone, Copy)]
struct Columns {
    b: *const f32,
    factor: Option<*const f32>,
    n: usize,
    width: usize,
}

impl Columns {
    /// # Safety
    /// `a` has `m` rows of `n`, `b` `n` and `out` `m` rows of N vectors.
    #[inline(always)]
    unsafe fn rows<S: SimdExt, const N: usize>(self, simd: S, a: Strided, out: *mut f32, m: usize) {
        let mut row = 0;
        // SAFETY: the caller's.
        unsafe {
            // Sums for eight rows and two vectors take half of 32 registers.
            while S::REGISTER_COUNT >= 32 && row + 8 <= m {
                self.block::<S, 8, N>(simd, a, row, out);
                row += 8;
            }
            while row + 4 <= m {
                self.block::<S, 4, N>(simd, a, row, out);
                row += 4;
            }
            while row < m {
                self.block::<S, 1, N>(simd, a, row, out);
                row += 1;
            }
        }
    }

    /// # Safety
    /// As for [`Columns::rows`], for M rows from `row` on.
    #[inline(always)]
    unsafe fn block<S: SimdExt, const M: usize, const N: usize>(self, simd: S, a: Strided, row: usize, out: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            let a_from = a.from.add(row * a.row);
            let out = out.add(row * self.width);
            let mut sums = [[simd.splat_f32s(0.0); N]; M];
            if let Some(factor) = self.factor {
                for (i, sums) in sums.iter_mut().enumerate() {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.mul_f32s(vector::<S>(out.add(i * self.width), j), vector::<S>(factor, j));
                    }
                }
            }
            for step in 0..self.n {
                let mut b = [simd.splat_f32s(0.0); N];
                for (j, b) in b.iter_mut().enumerate() {
                    *b = vector::<S>(self.b.add(step * self.width), j);
                }
                let a_step = a_from.add(step * a.column);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let a = simd.splat_f32s(*a_step.add(i * a.row));
                    for (sum, b) in sums.iter_mut().zip(&b) {
                        *sum = simd.multiply_add(a, *b, *sum);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    out.add(i * self.width).cast::<S::f32s>().add(j).write_unaligned(*sum);
                }
            }
        }
    }
}

/// # Safety
/// There are `at + 1` vectors.
#[inline(always)]
unsafe fn vector<S: SimdExt>(from: *const f32, at: usize) -> S::f32s {
    // SAFETY: the caller's.
    unsafe { from.cast::<S::f32s>().add(at).read_unaligned() }
}
