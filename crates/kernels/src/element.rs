//! The float types that keys and values are kept in.

use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::weight::Weight;

/// What a cache holds: read like a weight, and written to.
pub trait Element: Weight {
    /// The values themselves where nothing has to be converted.
    fn plain(values: &[Self]) -> Option<&[f32]>;

    /// Rounds to the nearest, ties to even.
    fn narrow(values: &[f32], out: &mut [Self]);
}

impl Element for f32 {
    fn plain(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn narrow(values: &[f32], out: &mut [Self]) {
        out.copy_from_slice(values);
    }
}

impl Element for f16 {
    fn plain(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn narrow(values: &[f32], out: &mut [Self]) {
        out.convert_from_f32_slice(values);
    }
}

impl Element for bf16 {
    fn plain(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn narrow(values: &[f32], out: &mut [Self]) {
        out.convert_from_f32_slice(values);
    }
}
