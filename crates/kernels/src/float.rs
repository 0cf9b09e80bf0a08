//! The float types that weights, keys and values are stored in.

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16, slice::HalfFloatSliceExt};

use crate::{
    isa::{Isa, Kernel},
    simd_ext::SimdExt,
};

/// A stored number: `f32`, `f16` or `bf16`.
pub trait Float: Copy + Send + Sync + 'static {
    /// Whether they are float32 themselves.
    const IS_F32: bool = false;
    /// The same bits as plain old data.
    type Bits: Pod;
    /// As many of them as a vector has lanes of float32.
    type Packed<S: SimdExt>: Pod;

    fn bits(values: &[Self]) -> &[Self::Bits];

    /// Exact: float32 has every value of the other two types.
    fn widen<S: SimdExt>(simd: S, packed: Self::Packed<S>) -> S::f32s;

    /// Rounds to the nearest, ties to even.
    fn narrow<S: SimdExt>(simd: S, values: &[f32], out: &mut [Self]);
}

impl Float for f32 {
    const IS_F32: bool = true;
    type Bits = f32;
    type Packed<S: SimdExt> = S::f32s;

    #[inline(always)]
    fn bits(values: &[Self]) -> &[f32] {
        values
    }

    #[inline(always)]
    fn widen<S: SimdExt>(_: S, packed: S::f32s) -> S::f32s {
        packed
    }

    #[inline(always)]
    fn narrow<S: SimdExt>(_: S, values: &[f32], out: &mut [Self]) {
        out.copy_from_slice(values);
    }
}

impl Float for f16 {
    type Bits = u16;
    type Packed<S: SimdExt> = S::Halves;

    #[inline(always)]
    fn bits(values: &[Self]) -> &[u16] {
        values.reinterpret_cast()
    }

    #[inline(always)]
    fn widen<S: SimdExt>(simd: S, packed: S::Halves) -> S::f32s {
        simd.widen_f16(packed)
    }

    #[inline(always)]
    fn narrow<S: SimdExt>(simd: S, values: &[f32], out: &mut [Self]) {
        simd.narrow_f16(values, out);
    }
}

impl Float for bf16 {
    type Bits = u16;
    type Packed<S: SimdExt> = S::Halves;

    #[inline(always)]
    fn bits(values: &[Self]) -> &[u16] {
        values.reinterpret_cast()
    }

    #[inline(always)]
    fn widen<S: SimdExt>(simd: S, packed: S::Halves) -> S::f32s {
        simd.widen_bf16(packed)
    }

    #[inline(always)]
    fn narrow<S: SimdExt>(_: S, values: &[f32], out: &mut [Self]) {
        out.convert_from_f32_slice(values);
    }
}

/// Each of `values` in another type, rounded to the nearest, ties to even.
///
/// # Panics
/// If there are not as many of both.
pub fn narrow<T: Float>(isa: Isa, values: &[f32], out: &mut [T]) {
    assert_eq!(values.len(), out.len(), "as many outputs as inputs");
    isa.run(Narrow { values, out });
}

struct Narrow<'a, T> {
    values: &'a [f32],
    out: &'a mut [T],
}

impl<T: Float> Kernel for Narrow<'_, T> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        T::narrow(simd, self.values, self.out);
    }
}

/// A vector of `values`, fewer than it has lanes, padded with zeros.
#[inline(always)]
pub fn zero_padded<T: Float, S: SimdExt>(values: &[T]) -> T::Packed<S> {
    let mut packed = T::Packed::<S>::zeroed();
    let bytes: &[u8] = bytemuck::cast_slice(T::bits(values));
    bytemuck::bytes_of_mut(&mut packed)[..bytes.len()].copy_from_slice(bytes);
    packed
}
