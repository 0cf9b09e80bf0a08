//! Keys and values as a cache keeps them, widened to float32 in registers.

use std::ops::Range;

use crate::{
    float::{Float, zero_padded},
    prefetch::prefetch,
    quant::{GROUP_SIZE, groups},
    simd_ext::SimdExt,
    view::View,
};

/// Keys, or values, `[batch, kv_heads, keys, head_dim]`, in a type that caches keep.
pub trait Kept: Copy + Send + Sync {
    /// The vectors of one head.
    type Vectors: Vectors;

    /// `[batch, kv_heads, keys, head_dim]`
    fn shape(self) -> [usize; 4];

    /// One head's vectors in `slots`, of which there is at least one, where they lie.
    fn vectors(self, at: [usize; 2], slots: &Range<usize>) -> Self::Vectors;
}

/// Vectors of `head_dim` numbers where they lie.
pub trait Vectors: Copy {
    type Row: Row;

    /// One of them.
    ///
    /// # Safety
    /// There is such a vector.
    unsafe fn row(self, vector: usize) -> Self::Row;

    /// Asks memory for `len` numbers of a vector, which need not be there.
    fn prefetch(self, vector: usize, at: usize, len: usize);

    /// The first vector's first number, and how far apart vectors are, if they are float32.
    fn as_f32(self) -> Option<(*const f32, usize)>;
}

/// One vector where it lies.
pub trait Row: Copy {
    /// `len` numbers from number `at` on, at most a register of them, padded with zeros. `at` is a whole number of registers.
    ///
    /// # Safety
    /// The vector has these numbers.
    unsafe fn load<S: SimdExt>(self, simd: S, at: usize, len: usize) -> S::f32s;
}

impl<'a, T: Float> Kept for View<'a, T> {
    type Vectors = Floats<T>;

    fn shape(self) -> [usize; 4] {
        View::shape(&self)
    }

    #[inline(always)]
    fn vectors(self, [batch, head]: [usize; 2], slots: &Range<usize>) -> Floats<T> {
        Floats { from: first(self, [batch, head], slots), stride: self.stride() }
    }
}

/// The first of one head's vectors in `slots`, all of which are there.
#[inline(always)]
fn first<T>(view: View<'_, T>, [batch, head]: [usize; 2], slots: &Range<usize>) -> *const T {
    let rows = view.rows(batch, head, slots.start);
    assert!(rows.len() >= (slots.len() - 1) * view.stride() + view.shape()[3]);
    rows.as_ptr()
}

/// Vectors of floats.
#[derive(Clone, Copy)]
pub struct Floats<T> {
    from: *const T,
    stride: usize,
}

impl<T: Float> Row for *const T {
    #[inline(always)]
    unsafe fn load<S: SimdExt>(self, simd: S, at: usize, len: usize) -> S::f32s {
        // SAFETY: the caller's.
        unsafe {
            let packed = if len == S::F32_LANES {
                self.add(at).cast::<T::Packed<S>>().read_unaligned()
            } else {
                zero_padded::<T, S>(std::slice::from_raw_parts(self.add(at), len))
            };
            T::widen(simd, packed)
        }
    }
}

impl<T: Float> Vectors for Floats<T> {
    type Row = *const T;

    #[inline(always)]
    unsafe fn row(self, vector: usize) -> *const T {
        // SAFETY: the caller's.
        unsafe { self.from.add(vector * self.stride) }
    }

    #[inline(always)]
    fn prefetch(self, vector: usize, at: usize, len: usize) {
        prefetch_vector(self.from.wrapping_add(vector * self.stride + at), len);
    }

    #[inline(always)]
    fn as_f32(self) -> Option<(*const f32, usize)> {
        T::IS_F32.then_some((self.from.cast(), self.stride))
    }
}

/// Asks for `len` numbers.
#[inline(always)]
fn prefetch_vector<T>(vector: *const T, len: usize) {
    const LINE: usize = 64;
    for at in (0..len * size_of::<T>()).step_by(LINE) {
        prefetch(vector.wrapping_byte_add(at));
    }
}

/// Integers of 8 bits with a scale for each group of 32 along `head_dim`, which is filled up with zeros. A number is the
/// integer times the scale, rounded to float32.
#[derive(Clone, Copy, Debug)]
pub struct Int8View<'a> {
    quants: View<'a, i8>,
    scales: View<'a, f32>,
    head_dim: usize,
}

impl<'a> Int8View<'a> {
    /// `quants` `[batch, kv_heads, keys, 32 groups]`, `scales` `[batch, kv_heads, keys, groups]`
    ///
    /// # Panics
    /// If shapes do not fit each other.
    pub fn new(quants: View<'a, i8>, scales: View<'a, f32>, head_dim: usize) -> Self {
        let ([batch, heads, keys, count], of_scales) = (quants.shape(), scales.shape());
        assert_eq!(of_scales, [batch, heads, keys, groups(head_dim)], "a scale for each group of {head_dim}");
        assert_eq!(count, groups(head_dim) * GROUP_SIZE, "whole groups");
        Self { quants, scales, head_dim }
    }
}

impl Kept for Int8View<'_> {
    type Vectors = Int8s;

    fn shape(self) -> [usize; 4] {
        let [batch, heads, keys, _] = self.quants.shape();
        [batch, heads, keys, self.head_dim]
    }

    #[inline(always)]
    fn vectors(self, at: [usize; 2], slots: &Range<usize>) -> Int8s {
        Int8s {
            quants: first(self.quants, at, slots),
            scales: first(self.scales, at, slots),
            quants_stride: self.quants.stride(),
            scales_stride: self.scales.stride(),
        }
    }
}

/// Vectors of integers and their scales.
#[derive(Clone, Copy)]
pub struct Int8s {
    quants: *const i8,
    scales: *const f32,
    quants_stride: usize,
    scales_stride: usize,
}

/// A vector of integers and its scales.
#[derive(Clone, Copy)]
pub struct Int8Row {
    quants: *const i8,
    scales: *const f32,
}

impl Row for Int8Row {
    #[inline(always)]
    unsafe fn load<S: SimdExt>(self, simd: S, at: usize, _: usize) -> S::f32s {
        // SAFETY: the caller's; groups are whole, and a register is a part of one.
        unsafe {
            let (quants, scale) = (self.quants.add(at), *self.scales.add(at / GROUP_SIZE));
            simd.mul_f32s(simd.widen_i8(quants.cast::<S::Bytes>().read_unaligned()), simd.splat_f32s(scale))
        }
    }
}

impl Vectors for Int8s {
    type Row = Int8Row;

    #[inline(always)]
    unsafe fn row(self, vector: usize) -> Int8Row {
        // SAFETY: the caller's.
        unsafe {
            Int8Row {
                quants: self.quants.add(vector * self.quants_stride),
                scales: self.scales.add(vector * self.scales_stride),
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, vector: usize, at: usize, len: usize) {
        prefetch_vector(self.quants.wrapping_add(vector * self.quants_stride + at), len);
        prefetch(self.scales.wrapping_add(vector * self.scales_stride));
    }

    #[inline(always)]
    fn as_f32(self) -> Option<(*const f32, usize)> {
        None
    }
}
