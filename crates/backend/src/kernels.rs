//! Which version of an operation computes, where there are two.

use std::{fmt, str::FromStr};

use crate::DeviceError;

/// The two versions of the operations that decide how fast a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// Tensor operations, written like their papers: for reading, for training, and to hold the others to.
    Plain,
    /// Kernels of this crate where the device has them ([`crate::Fused`]), and tensor operations elsewhere.
    #[default]
    Fused,
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Fused => "fused",
        })
    }
}

impl FromStr for Kernels {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "plain" => Ok(Self::Plain),
            "fused" => Ok(Self::Fused),
            other => Err(DeviceError::UnknownKernels {
                name: other.to_owned(),
            }),
        }
    }
}
