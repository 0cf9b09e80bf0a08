//! Columns that do not depend on each other, some vectors of them at a time: what recurrences and convolutions are made of.

use std::{marker::PhantomData, ops::Range};

use crate::{
    isa::{Isa, Kernel},
    simd_ext::SimdExt,
};

/// Vectors of the widest block.
pub const MAX_WIDTH: usize = 4;

/// A computation on a block of columns that `W` vectors hold: 1, 2 or [`MAX_WIDTH`].
pub trait ColumnKernel {
    /// As for [`Kernel::run`], everything that this calls must be `#[inline(always)]`, which `map` of an array is not.
    fn run<S: SimdExt, const W: usize>(self, simd: S);
}

/// Cuts `columns` into blocks, of which this is the one with this number. It lies in one piece of `period` columns.
pub fn block(isa: Isa, period: usize, number: usize) -> Range<usize> {
    let width = MAX_WIDTH * isa.lanes();
    let blocks = period.div_ceil(width);
    let (start, at) = (number / blocks * period, number % blocks * width);
    start + at..start + period.min(at + width)
}

/// Blocks of `columns`, which are whole periods.
pub fn blocks(isa: Isa, columns: usize, period: usize) -> usize {
    columns / period * period.div_ceil(MAX_WIDTH * isa.lanes())
}

/// Runs a kernel on a block of so many columns.
pub fn run(isa: Isa, columns: usize, kernel: impl ColumnKernel) {
    isa.run(Block { columns, kernel });
}

struct Block<K> {
    columns: usize,
    kernel: K,
}

impl<K: ColumnKernel> Kernel for Block<K> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        match self.columns.div_ceil(S::F32_LANES) {
            0 | 1 => self.kernel.run::<S, 1>(simd),
            2 => self.kernel.run::<S, 2>(simd),
            _ => self.kernel.run::<S, MAX_WIDTH>(simd),
        }
    }
}

/// A row of a block; lanes behind its end are zero.
#[inline(always)]
pub fn load<S: SimdExt, const W: usize>(simd: S, row: &[f32]) -> [S::f32s; W] {
    let mut values = [simd.splat_f32s(0.0); W];
    if row.len() == W * S::F32_LANES {
        let (vectors, _) = S::as_simd_f32s(row);
        for (value, vector) in values.iter_mut().zip(vectors) {
            *value = *vector;
        }
    } else {
        for (i, value) in values.iter_mut().enumerate() {
            *value = simd.partial_load_f32s(&row[lanes::<S>(row.len(), i)]);
        }
    }
    values
}

/// Writes a row of a block.
#[inline(always)]
pub fn store<S: SimdExt, const W: usize>(simd: S, row: &mut [f32], values: [S::f32s; W]) {
    if row.len() == W * S::F32_LANES {
        let (vectors, _) = S::as_mut_simd_f32s(row);
        for (vector, value) in vectors.iter_mut().zip(&values) {
            *vector = *value;
        }
    } else {
        let len = row.len();
        for (i, value) in values.iter().enumerate() {
            simd.partial_store_f32s(&mut row[lanes::<S>(len, i)], *value);
        }
    }
}

/// `a * b`
#[inline(always)]
pub fn times<S: SimdExt, const W: usize>(simd: S, a: [S::f32s; W], b: [S::f32s; W]) -> [S::f32s; W] {
    let mut products = a;
    for i in 0..W {
        products[i] = simd.mul_f32s(a[i], b[i]);
    }
    products
}

/// Where the `i`-th vector of a row of `len` numbers lies.
#[inline(always)]
fn lanes<S: SimdExt>(len: usize, i: usize) -> Range<usize> {
    len.min(i * S::F32_LANES)..len.min((i + 1) * S::F32_LANES)
}

/// Numbers of which several threads write, each its own.
pub struct Parts<'a> {
    first: *mut f32,
    len: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: through a shared reference numbers are reached only by `part`, whose caller keeps them apart.
unsafe impl Sync for Parts<'_> {}

impl<'a> Parts<'a> {
    pub fn new(numbers: &'a mut [f32]) -> Self {
        Self { first: numbers.as_mut_ptr(), len: numbers.len(), lifetime: PhantomData }
    }

    /// # Safety
    /// No other reference to any of these numbers may exist.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller keeps parts to one thread each")]
    pub unsafe fn part(&self, start: usize, len: usize) -> &mut [f32] {
        assert!(start <= self.len && len <= self.len - start);
        // SAFETY: it lies within the numbers that are borrowed for `'a`, and nobody else refers to it.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(start), len) }
    }
}
