//! What can be wrong with a GGUF file.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a GGUF file could not be opened, understood or written. Every message is one line: the file, the place in it, and
/// what would fix it.
#[derive(Debug, Error)]
pub enum GgufError {
    #[error("cannot read {}: {source}", file.display())]
    Read { file: PathBuf, source: io::Error },

    /// Another kind of file, or an edition of the format that is not read.
    #[error("{} {found}; {fix}", file.display())]
    Foreign { file: PathBuf, found: String, fix: &'static str },

    /// `place` names the key or tensor.
    #[error("{}, {place}: {reason}; the file is damaged, cut short or of a newer format: fetch or copy it again", file.display())]
    Damaged { file: PathBuf, place: String, reason: String },

    #[error(
        "{} has {actual} bytes where its header describes {expected}: {} are missing; its download or copy broke off, fetch or copy it again",
        file.display(),
        expected - u128::from(*actual)
    )]
    CutShort { file: PathBuf, actual: u64, expected: u128 },

    #[error("{}: {reason}", file.display())]
    Split { file: PathBuf, reason: String },

    /// A key whose value is not what its reader takes.
    #[error("{}: {} is {found} where {expected} belongs; the file was written by a faulty converter, convert or fetch it again", file.display(), quoted(key))]
    Key { file: PathBuf, key: String, found: String, expected: &'static str },

    #[error("{}: there is no key {}; the file was written by a faulty converter, convert or fetch it again", file.display(), quoted(key))]
    NoKey { file: PathBuf, key: String },

    #[error("tensor {tensor:?} cannot be written to a GGUF file: {reason}")]
    Unwritable { tensor: String, reason: String },

    #[error("cannot write a GGUF file: {0}")]
    Write(#[from] io::Error),
}

/// A name out of a file, as errors show it: on one line, and no longer than fits there.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 60;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &name[..end]),
        None => format!("{name:?}"),
    }
}
