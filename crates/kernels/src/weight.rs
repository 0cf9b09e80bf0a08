//! The types a matrix of weights can be stored in, and how a vector of them becomes float32.

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::lanes::Lanes;

/// A stored number.
pub trait Weight: Copy + Send + Sync + 'static {
    /// The same bits as plain old data.
    type Bits: Pod;
    /// As many of them as a vector has lanes of float32.
    type Packed<S: Lanes>: Pod;

    fn bits(values: &[Self]) -> &[Self::Bits];

    /// Exact: float32 has every value of the other two types.
    fn widen<S: Lanes>(simd: S, packed: Self::Packed<S>) -> S::f32s;
}

impl Weight for f32 {
    type Bits = f32;
    type Packed<S: Lanes> = S::f32s;

    #[inline(always)]
    fn bits(values: &[Self]) -> &[f32] {
        values
    }

    #[inline(always)]
    fn widen<S: Lanes>(_: S, packed: S::f32s) -> S::f32s {
        packed
    }
}

impl Weight for f16 {
    type Bits = u16;
    type Packed<S: Lanes> = S::Halves;

    #[inline(always)]
    fn bits(values: &[Self]) -> &[u16] {
        values.reinterpret_cast()
    }

    #[inline(always)]
    fn widen<S: Lanes>(simd: S, packed: S::Halves) -> S::f32s {
        simd.widen_f16(packed)
    }
}

impl Weight for bf16 {
    type Bits = u16;
    type Packed<S: Lanes> = S::Halves;

    #[inline(always)]
    fn bits(values: &[Self]) -> &[u16] {
        values.reinterpret_cast()
    }

    #[inline(always)]
    fn widen<S: Lanes>(simd: S, packed: S::Halves) -> S::f32s {
        simd.widen_bf16(packed)
    }
}

/// The whole vectors of `values`.
#[inline(always)]
pub fn vectors<W: Weight, S: Lanes>(values: &[W]) -> &[W::Packed<S>] {
    let whole = values.len() / S::F32_LANES * S::F32_LANES;
    bytemuck::cast_slice(W::bits(&values[..whole]))
}

/// A vector of `values`, fewer than it has lanes, and zeros.
#[inline(always)]
pub fn filled<W: Weight, S: Lanes>(values: &[W]) -> W::Packed<S> {
    let mut packed = W::Packed::<S>::zeroed();
    let bytes: &[u8] = bytemuck::cast_slice(W::bits(values));
    bytemuck::bytes_of_mut(&mut packed)[..bytes.len()].copy_from_slice(bytes);
    packed
}
