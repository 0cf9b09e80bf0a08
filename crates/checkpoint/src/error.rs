//! What can be wrong with the files of a checkpoint.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a checkpoint folder could not be opened. Every message is one line: the file, the tensor where there is one, and
/// what would fix it.
#[derive(Debug, Error)]
pub enum CheckpointError {
    #[error("{}: no such folder; give the folder that holds config.json and the .safetensors files", .0.display())]
    NoFolder(PathBuf),

    #[error("{} is a file; give the folder that holds it", .0.display())]
    NotAFolder(PathBuf),

    /// `found` names the weights of other formats that lie there, `fix` what to do.
    #[error("{}: neither model.safetensors nor model.safetensors.index.json{found}; {fix}", folder.display())]
    NoSafetensors { folder: PathBuf, found: String, fix: &'static str },

    #[error("cannot read {}: {source}", file.display())]
    Read { file: PathBuf, source: io::Error },

    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),

    #[error("{} is a Git LFS pointer, not the file it points to; run `git lfs pull` in the folder", .0.display())]
    LfsPointer(PathBuf),

    #[error("{} is empty; fetch or copy it again", .0.display())]
    Empty(PathBuf),

    #[error("{}: {reason}; it is not a whole safetensors file, fetch or copy it again", file.display())]
    Header { file: PathBuf, reason: String },

    /// A tensor whose header entry is not possible.
    #[error("{}, tensor {tensor:?}: {reason}; the file is damaged or of a newer format, fetch it again", file.display())]
    Tensor { file: PathBuf, tensor: String, reason: String },

    #[error("{} has {actual} bytes where its header describes {expected}; it was cut short or overwritten, fetch or copy it again", file.display())]
    Length { file: PathBuf, actual: u64, expected: u128 },

    #[error("{}: {reason}; fetch it again or save the model again with save_pretrained", file.display())]
    Index { file: PathBuf, reason: String },

    #[error("{} names the shard {shard:?}, which is not in the folder; fetch or copy it too", index.display())]
    NoShard { index: PathBuf, shard: String },

    #[error("{} places tensor {tensor:?} in {shard:?}, which does not hold it; index and shards do not belong together, fetch both again", index.display())]
    NotInShard { index: PathBuf, tensor: String, shard: String },

    #[error("{}: its weights are in few bits already: quantize the model that it was made from", .0.display())]
    Quantized(PathBuf),

    #[error("tensor {tensor:?} is both in {} and in {}; keep one of them", first.display(), second.display())]
    Twice { tensor: String, first: PathBuf, second: PathBuf },
}
