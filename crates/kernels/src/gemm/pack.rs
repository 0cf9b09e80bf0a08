//! Rows of numbers repacked into the order in which tiles read them.
//!
//! A lane multiplies a unit of four bytes at a time: a float32, two bfloat16, four 8-bit quants. Packed, the first units of
//! some rows lie side by side, then their second ones, and so on.

use std::{marker::PhantomData, ops::Range};

use bytemuck::{Pod, Zeroable};

use super::transpose::Transpose;
use crate::{float::Float, prefetch::prefetch, simd_ext::SimdExt};

/// Bytes that a row is prefetched ahead: rows are far apart, and no processor follows sixteen of them by itself.
const AHEAD: usize = 512;

/// A stored type, and how units are made of it.
pub trait Stored: Copy + Send + Sync {
    type Number: Copy + Send + Sync + 'static;
    /// The stored numbers of as many units as a vector has lanes.
    type Packed<S: SimdExt>: Pod;

    /// Stored numbers in a unit.
    const PER_UNIT: usize;

    fn bytes(numbers: &[Self::Number]) -> &[u8];

    /// A vector of units, of the type `f32s` whatever they are.
    fn units<S: SimdExt>(simd: S, packed: Self::Packed<S>) -> S::f32s;
}

/// Floats, each widened to a float32.
#[derive(Clone, Copy)]
pub struct Widened<T>(PhantomData<T>);

impl<T: Float> Stored for Widened<T> {
    type Number = T;
    type Packed<S: SimdExt> = T::Packed<S>;
    const PER_UNIT: usize = 1;

    #[inline(always)]
    fn bytes(numbers: &[T]) -> &[u8] {
        bytemuck::cast_slice(T::bits(numbers))
    }

    #[inline(always)]
    fn units<S: SimdExt>(simd: S, packed: T::Packed<S>) -> S::f32s {
        T::widen(simd, packed)
    }
}

/// Numbers that are multiplied as they are stored: the bits of two bfloat16 in a unit, or four 8-bit quants.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Bits<B>(PhantomData<B>);

#[cfg(target_arch = "x86_64")]
impl<B: Pod + Send + Sync> Stored for Bits<B> {
    type Number = B;
    type Packed<S: SimdExt> = S::f32s;
    const PER_UNIT: usize = 4 / size_of::<B>();

    #[inline(always)]
    fn bytes(numbers: &[B]) -> &[u8] {
        bytemuck::cast_slice(numbers)
    }

    #[inline(always)]
    fn units<S: SimdExt>(_: S, packed: S::f32s) -> S::f32s {
        packed
    }
}

/// A source of rows to pack.
pub trait Rows: Copy + Send + Sync {
    type Stored: Stored;

    /// All have the same length.
    fn row(&self, row: usize) -> &[<Self::Stored as Stored>::Number];
}

/// Rows one after the other.
#[derive(Clone, Copy)]
pub struct RowMajor<'a, T: Stored> {
    values: &'a [T::Number],
    /// Stored numbers of a row.
    columns: usize,
}

impl<'a, T: Stored> RowMajor<'a, T> {
    /// `values` `[rows, columns]`, `columns` at least one.
    ///
    /// # Panics
    /// If these are not whole rows.
    pub fn new(values: &'a [T::Number], columns: usize) -> Self {
        assert!(values.len().is_multiple_of(columns), "{} in rows of {columns}", values.len());
        Self { values, columns }
    }

    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    pub(super) fn stored(&self, rows: Range<usize>) -> &'a [u8] {
        T::bytes(&self.values[rows.start * self.columns..rows.end * self.columns])
    }

    pub(super) fn units(&self) -> usize {
        self.columns.div_ceil(T::PER_UNIT)
    }
}

impl<T: Stored> Rows for RowMajor<'_, T> {
    type Stored = T;

    #[inline(always)]
    fn row(&self, row: usize) -> &[T::Number] {
        &self.values[row * self.columns..][..self.columns]
    }
}

/// `units` of `rows`, padded with zeros to `width` rows -> `packed` `[units, width]`.
///
/// Units behind the end of a row are zero.
#[inline(always)]
pub(super) fn pack<S: Transpose, R: Rows>(
    simd: S,
    matrix: R,
    rows: Range<usize>,
    width: usize,
    units: Range<usize>,
    packed: &mut [f32],
) {
    let lanes = S::F32_LANES;
    for part in (0..width).step_by(lanes) {
        let first = rows.start + part;
        let wide = lanes.min(width - part);
        let there = rows.end.saturating_sub(first).min(wide);
        for at in units.clone().step_by(lanes) {
            let mut square = [S::Rows::zeroed()];
            let vectors: &mut [S::f32s] = bytemuck::cast_slice_mut(&mut square);
            let numbers = at * R::Stored::PER_UNIT..(at + lanes) * R::Stored::PER_UNIT;
            if there == wide && numbers.end <= matrix.row(first).len() {
                // A constant number of rounds with nothing but loads in them.
                for (i, vector) in vectors.iter_mut().enumerate().take(wide) {
                    let numbers = &matrix.row(first + i)[numbers.clone()];
                    prefetch(numbers.as_ptr().wrapping_byte_add(AHEAD));
                    let packed = bytemuck::pod_read_unaligned(R::Stored::bytes(numbers));
                    *vector = R::Stored::units(simd, packed);
                }
            } else {
                for (i, vector) in vectors.iter_mut().enumerate().take(there) {
                    let row = matrix.row(first + i);
                    let numbers = &row[numbers.start..numbers.end.min(row.len())];
                    let mut packed = <R::Stored as Stored>::Packed::<S>::zeroed();
                    let bytes = R::Stored::bytes(numbers);
                    bytemuck::bytes_of_mut(&mut packed)[..bytes.len()].copy_from_slice(bytes);
                    *vector = R::Stored::units(simd, packed);
                }
            }
            let square = [simd.transposed(square[0])];
            let columns: &[f32] = bytemuck::cast_slice(&square);
            let to = packed[(at - units.start) * width..].chunks_exact_mut(width);
            for (to, column) in to.zip(columns.chunks_exact(lanes)) {
                to[part..][..wide].copy_from_slice(&column[..wide]);
            }
        }
    }
}
