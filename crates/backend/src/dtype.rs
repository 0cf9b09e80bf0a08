use std::{fmt, str::FromStr};

use burn::tensor::DType;

use crate::DeviceError;

/// The float type that weights are held and multiplied in.
///
/// Norms, softmax and rotary tables are computed in float32 whatever this says, as `transformers` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE 754 binary32: 4 bytes, 24 bits of precision.
    F32,
    /// IEEE 754 binary16: 2 bytes, 11 bits of precision, largest finite value 65504.
    F16,
    /// bfloat16: 2 bytes, 8 bits of precision, the range of float32.
    BF16,
}

impl Dtype {
    /// All three.
    pub const ALL: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

    /// Bytes per value.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
        }
    }

    /// The unit roundoff: half the distance from 1 to the next larger value.
    pub fn unit_roundoff(self) -> f64 {
        match self {
            Dtype::F32 => 2f64.powi(-24),
            Dtype::F16 => 2f64.powi(-11),
            Dtype::BF16 => 2f64.powi(-8),
        }
    }

    /// Burn's name for the same type.
    pub fn burn(self) -> DType {
        match self {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
        })
    }
}

impl FromStr for Dtype {
    type Err = DeviceError;

    /// Takes the short names and those of `transformers`.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "f32" | "float32" => Ok(Dtype::F32),
            "f16" | "float16" => Ok(Dtype::F16),
            "bf16" | "bfloat16" => Ok(Dtype::BF16),
            other => Err(DeviceError::UnknownDtype { name: other.to_owned() }),
        }
    }
}
