use thiserror::Error;

use crate::Dtype;

/// A device or float type that cannot be had.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum DeviceError {
    #[error("no device is called {name:?}: this build has {}", .known.join(", "))]
    UnknownDevice { name: String, known: Vec<String> },
    #[error("device {name:?} is not in this build: build it with `cargo build --release --features {feature}`")]
    NotBuilt { name: String, feature: &'static str },
    #[error("device {name:?}: no such adapter, {found}; `glass devices` lists them")]
    NoAdapter { name: String, found: String },
    #[error("device {name:?} could not be started: {reason}")]
    Start { name: String, reason: String },
    #[error("no dtype is called {name:?}: use f32, f16 or bf16")]
    UnknownDtype { name: String },
    #[error("no kernels are called {name:?}: use fused or plain")]
    UnknownKernelMode { name: String },
    #[error("device {device} does not compute in {dtype}: use --dtype {instead}")]
    UnsupportedDtype { device: String, dtype: Dtype, instead: String },
    #[error("device {device}: {reason}")]
    Failed { device: String, reason: String },
}

/// A weight that a module asked for and did not get.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum WeightError {
    /// `found` says what there is instead.
    #[error("{origin}: tensor {name} is missing: {found}")]
    Missing { origin: String, name: String, found: String },
    #[error("{origin}: tensor {name} has shape {found:?}, the config asks for {expected:?}")]
    Shape { origin: String, name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("{origin}: tensor {name} is stored as {found}: only F64, F32, F16 and BF16 are read")]
    Type { origin: String, name: String, found: String },
    #[error("{origin}: tensor {name}: {reason}")]
    Other { origin: String, name: String, reason: String },
    #[error("tensor {name}: one row takes {row_bytes} bytes, more than the {limit} that device {device} can bind")]
    RowTooLarge { name: String, row_bytes: u64, limit: u64, device: String },
}
