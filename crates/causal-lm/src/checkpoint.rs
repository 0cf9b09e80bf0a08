//! What a checkpoint on disk holds, and how it becomes a model's weights. The only owner of its quirks.
//!
//! Reading order: [`Files`] (one map from tensor name to bytes) · [`convert`] (bytes of one float type to another) ·
//! [`CheckpointSource`] (what the modules ask for their numbers, and what nobody asked for).

mod convert;
mod error;
mod files;
mod index;
mod shard;
mod source;

pub use convert::{UnsupportedDtype, convert, float};
pub use error::CheckpointError;
pub use files::{Files, RawTensor, WEIGHTS, WEIGHTS_INDEX};
pub(crate) use index::Index;
pub use source::CheckpointSource;
