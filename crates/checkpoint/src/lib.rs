//! What a checkpoint on disk holds, how it becomes a model's weights, and how it is written. The only owner of its
//! quirks.
//!
//! Reading order: [`Files`] (one map from tensor name to bytes) · [`convert_bytes`] (one float type to another) ·
//! [`CheckpointSource`] (what the modules ask for their numbers, and what nobody asked for) · [`Saving`] (a folder whose
//! new files appear together) · [`TensorSource`] (what is saved) and [`ShardSize`] (in how many files) · [`Converted`]
//! (a checkpoint to be saved again) · [`Parameters`] (a model in memory to be saved) · [`convert()`] and [`quantize()`] (a
//! whole folder written again).

mod coded;
mod convert;
mod converted;
mod dtype;
mod error;
mod files;
mod index;
mod mapped;
mod parameters;
mod quantize;
mod quantizing;
mod save_error;
mod saving;
mod scheme;
mod shard;
mod sharding;
mod source;
mod writer;

pub use coded::{CodedPart, coded_part};
pub use convert::{Conversion, ConvertError, ConvertOptions, check_target, convert};
pub use converted::Converted;
pub use dtype::{UnsupportedDtype, convert_bytes, float, stored};
pub use error::CheckpointError;
pub use files::{Files, RawTensor, WEIGHTS, WEIGHTS_INDEX};
pub use index::Index;
pub use parameters::{Parameters, parameter_name};
pub use quantize::{Quantization, quantize};
pub use quantizing::{QuantizedTensors, Quantizing};
pub use save_error::SaveError;
pub use saving::{Existing, Saving};
pub use scheme::Scheme;
pub use sharding::{BadSize, ShardSize};
pub use source::CheckpointSource;
pub use writer::{SaveProgress, TensorSource, TensorSpec, Written};
