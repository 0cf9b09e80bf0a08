//! What can keep a checkpoint from being saved.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use glass_backend::{Dtype, WeightError};
use thiserror::Error;

/// Why a folder could not be written. Every message is one line: the path, the tensor where there is one, and what
/// would fix it.
#[derive(Debug, Error)]
pub enum SaveError {
    #[error("{}: the folder it is to be in does not exist: make it first", .0.display())]
    NoParent(PathBuf),

    #[error("{} is a file: give the name of a folder", .0.display())]
    NotAFolder(PathBuf),

    #[error("{} is not empty: give a new or an empty folder, or --force to overwrite the model in it", .0.display())]
    NotEmpty(PathBuf),

    #[error("{} is the folder the model is read from: give another one", .0.display())]
    IsSource(PathBuf),

    #[error("{}: another process is saving to it: wait for it, or give another folder", .0.display())]
    Busy(PathBuf),

    #[error("{}: the disk is full ({source}): free some space or give a folder on another disk; nothing was kept", file.display())]
    Full { file: PathBuf, source: io::Error },

    #[error("cannot write {}: {source}", file.display())]
    Write { file: PathBuf, source: io::Error },

    #[error("cannot read {}: {source}", file.display())]
    Read { file: PathBuf, source: io::Error },

    /// A tensor that is not of float32, float16 or bfloat16 keeps its type or is not written at all.
    #[error("{}, tensor {tensor:?} is stored as {found}, which is not made {wanted}: leave --dtype out to keep the type of every tensor", file.display())]
    Dtype { file: PathBuf, tensor: String, found: safetensors::Dtype, wanted: Dtype },

    /// What a [`TensorSource`](super::TensorSource) says of a tensor cannot be.
    #[error("tensor {tensor:?} cannot be saved: {reason}")]
    Tensor { tensor: String, reason: String },

    #[error("{tensors} tensors are too many for the header of one file: choose a smaller --max-shard-size")]
    TooMany { tensors: usize },

    #[error(transparent)]
    Weight(#[from] WeightError),

    #[error("interrupted")]
    Interrupted,
}

impl SaveError {
    /// What the system answered to an attempt to write `file`.
    pub(super) fn write(file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { file, source },
            _ => Self::Write { file, source },
        }
    }
}
