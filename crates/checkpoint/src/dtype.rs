//! Weights from one floating-point format into another, on their raw little-endian bytes.

use std::fmt;

use glass_backend::Dtype;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;
use thiserror::Error;

/// A format of safetensors that weights are not read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("dtype {0} is not supported (F64, F32, F16 and BF16 are); save the model again in one of them")]
pub struct UnsupportedDtype(pub safetensors::Dtype);

/// A float type that weights are read from: one that is computed in, or float64, which is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredFloat {
    /// IEEE 754 binary64: 8 bytes, as numpy writes numbers by itself.
    F64,
    Dtype(Dtype),
}

impl StoredFloat {
    /// Bytes per value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::Dtype(dtype) => dtype.bytes(),
        }
    }

    /// The type that holds its values, rounded if there is none.
    pub fn computed(self) -> Dtype {
        match self {
            Self::F64 => Dtype::F32,
            Self::Dtype(dtype) => dtype,
        }
    }
}

impl From<Dtype> for StoredFloat {
    fn from(dtype: Dtype) -> Self {
        Self::Dtype(dtype)
    }
}

impl fmt::Display for StoredFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F64 => f.write_str("f64"),
            Self::Dtype(dtype) => dtype.fmt(f),
        }
    }
}

/// The float type that a file names so.
///
/// # Errors
/// Any other type: integers, float8.
pub fn float(dtype: safetensors::Dtype) -> Result<StoredFloat, UnsupportedDtype> {
    match dtype {
        safetensors::Dtype::F64 => Ok(StoredFloat::F64),
        safetensors::Dtype::F32 => Ok(Dtype::F32.into()),
        safetensors::Dtype::F16 => Ok(Dtype::F16.into()),
        safetensors::Dtype::BF16 => Ok(Dtype::BF16.into()),
        other => Err(UnsupportedDtype(other)),
    }
}

/// The name of `dtype` in a file.
pub fn stored(dtype: Dtype) -> safetensors::Dtype {
    match dtype {
        Dtype::F32 => safetensors::Dtype::F32,
        Dtype::F16 => safetensors::Dtype::F16,
        Dtype::BF16 => safetensors::Dtype::BF16,
    }
}

/// Elements that one task converts: big enough to pay for the task, small enough for its buffers to stay in the cache.
const CHUNK: usize = 4096;

/// Converts `source`, little-endian elements of `from` at any alignment, to elements of `to`, rounding to nearest, ties
/// to even. Returns how many finite values became infinite because `to` cannot reach them (f16 ends at 65504).
///
/// A NaN stays a NaN of the same sign; its payload may change. Without a change of format every bit stays.
///
/// # Panics
/// If the two do not hold the same whole number of elements; [`Files`](crate::Files) rules out that a
/// tensor's bytes are not whole.
pub fn convert_bytes(source: &[u8], from: impl Into<StoredFloat>, target: &mut [u8], to: Dtype) -> usize {
    let from = from.into();
    assert!(
        source.len().is_multiple_of(from.bytes()) && source.len() / from.bytes() * to.bytes() == target.len(),
        "{} bytes of {from} do not make {} bytes of {to}",
        source.len(),
        target.len()
    );
    if from == to.into() {
        target.copy_from_slice(source);
        return 0;
    }
    source
        .par_chunks(CHUNK * from.bytes())
        .zip(target.par_chunks_mut(CHUNK * to.bytes()))
        .map(|(source, target)| match from {
            StoredFloat::F64 => narrow_f64(source, to, target),
            StoredFloat::Dtype(from) => {
                let mut values = [0.0; CHUNK];
                let values = &mut values[..source.len() / from.bytes()];
                widen(source, from, values);
                narrow(values, to, target)
            }
        })
        .sum()
}

/// float64 into f32 is rounded here, and counted as in [`narrow`].
fn narrow_f64(source: &[u8], to: Dtype, target: &mut [u8]) -> usize {
    let source = source.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
    if to == Dtype::F32 {
        let mut overflowed = 0;
        for (bytes, value) in target.as_chunks_mut().0.iter_mut().zip(source) {
            let rounded = value as f32;
            *bytes = rounded.to_le_bytes();
            overflowed += usize::from(rounded.is_infinite() && value.is_finite());
        }
        return overflowed;
    }
    let mut values = [0.0; CHUNK];
    let values = &mut values[..target.len() / to.bytes()];
    for (odd, value) in values.iter_mut().zip(source) {
        *odd = round_to_odd(value);
    }
    narrow(values, to, target)
}

/// The float32 below in magnitude, its last bit set if the value lies above it: rounded again, to a type of at least two bits
/// less, it is what the value would be (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums").
fn round_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if value.is_nan() || f64::from(nearest) == value {
        return nearest;
    }
    let below = nearest.to_bits() - u32::from(f64::from(nearest).abs() > value.abs());
    f32::from_bits(below | 1)
}

/// Every value of the three formats is an f32, so this is exact and the way through f32 rounds once only.
fn widen(source: &[u8], from: Dtype, values: &mut [f32]) {
    match from {
        Dtype::F32 => {
            for (value, bytes) in values.iter_mut().zip(source.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Dtype::F16 => {
            let mut halves = [f16::ZERO; CHUNK];
            let halves = &mut halves[..values.len()];
            for (half, bytes) in halves.iter_mut().zip(source.as_chunks().0) {
                *half = f16::from_le_bytes(*bytes);
            }
            // By slice, since only then does `half` use the processor's own conversion at full speed.
            halves.convert_to_f32_slice(values);
        }
        Dtype::BF16 => {
            for (value, bytes) in values.iter_mut().zip(source.as_chunks().0) {
                *value = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
    }
}

/// Writes `values` as `to` and counts the finite ones that became infinite.
fn narrow(values: &[f32], to: Dtype, target: &mut [u8]) -> usize {
    match to {
        Dtype::F32 => {
            for (bytes, value) in target.as_chunks_mut().0.iter_mut().zip(values) {
                *bytes = value.to_le_bytes();
            }
            0
        }
        Dtype::F16 => {
            let mut halves = [f16::ZERO; CHUNK];
            let halves = &mut halves[..values.len()];
            halves.convert_from_f32_slice(values);
            let mut overflowed = 0;
            for ((bytes, half), value) in target.as_chunks_mut().0.iter_mut().zip(halves).zip(values) {
                *bytes = half.to_le_bytes();
                overflowed += usize::from(half.is_infinite() && value.is_finite());
            }
            overflowed
        }
        Dtype::BF16 => {
            let mut overflowed = 0;
            for (bytes, value) in target.as_chunks_mut().0.iter_mut().zip(values) {
                let half = bf16::from_f32(*value);
                *bytes = half.to_le_bytes();
                overflowed += usize::from(half.is_infinite() && value.is_finite());
            }
            overflowed
        }
    }
}
