//! Which version of an operation computes: kernels or plain tensor operations.

use std::{fmt, str::FromStr};

use crate::DeviceError;

/// The two versions of the operations that decide how fast a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KernelMode {
    /// Tensor operations, written like their papers: to read, to train with, and to compare kernels with.
    Plain,
    /// Kernels where the device has them ([`crate::KernelSet`]), tensor operations elsewhere.
    #[default]
    Fused,
}

impl fmt::Display for KernelMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Fused => "fused",
        })
    }
}

impl FromStr for KernelMode {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "plain" => Ok(Self::Plain),
            "fused" => Ok(Self::Fused),
            other => Err(DeviceError::UnknownKernelMode { name: other.to_owned() }),
        }
    }
}
