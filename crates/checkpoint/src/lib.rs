//! The checkpoint format: how its tensors become a model's weights, and how it is written. The only owner of its quirks.
//!
//! Reading order: [`Files`] (one map from tensor name to bytes) · [`Names`] (what the model calls them) · [`convert_bytes`] (one float type to another) ·
//! [`CheckpointSource`] (weights for the modules, and the tensors that no module asks for) · [`Precision`] (what they are
//! held in) · [`QuantRecipe`] (which matrices are quantized) and [`QuantizeOnLoad`] · [`Saving`] (a folder whose new files appear together) · [`TensorSource`] (what is
//! saved) and [`ShardSize`] (in how many files) · [`Converted`] and [`QuantizedTensors`] (a checkpoint to be saved again) ·
//! [`Parameters`] and [`FamilyTensors`] (a model in memory to be saved), [`WeightTensors`] (one of any source) · [`GgufSource`]
//! (weights from a GGUF file) and [`GgufModel`] (a folder as such a file) · [`convert()`] and [`quantize()`] (a whole folder written again) · [`kept()`] (a copy
//! for the next time).

mod convert;
mod converted;
mod dtype;
mod error;
mod files;
mod floats;
mod gguf;
mod head;
mod idle;
mod index;
mod kept;
mod mapped;
mod mxfp4;
mod names;
mod parameters;
mod precision;
mod quant_recipe;
mod quantize;
mod quantize_on_load;
mod quantized;
mod quantized_tensors;
mod save_error;
mod saving;
mod shard;
mod sharding;
mod source;
mod stored;
mod weight_tensors;
mod writer;
mod zero_points;

pub use convert::{
    COMPANIONS, Conversion, ConvertError, ConvertOptions, check_target, convert, remove_model, remove_stale,
};
pub use converted::Converted;
pub use dtype::{StoredFloat, UnsupportedDtype, convert_bytes, float, stored};
pub use error::CheckpointError;
pub use files::{Files, RawTensor, WEIGHTS, WEIGHTS_INDEX};
pub use gguf::{FileType, GgufFormat, GgufModel, GgufPlan, GgufSource, GgufWriteError, stored_in_gguf};
pub use head::own_head;
pub use index::Index;
pub use kept::{Kept, kept};
pub use names::Names;
pub use parameters::{Parameters, parameter_name};
pub use precision::{Precision, UnknownPrecision};
pub use quant_recipe::QuantRecipe;
pub use quantize::{Quantization, quantize};
pub use quantize_on_load::QuantizeOnLoad;
pub use quantized::{QuantizedPart, quantized_part};
pub use quantized_tensors::QuantizedTensors;
pub use save_error::SaveError;
pub use saving::{Existing, Saving, sync_folder};
pub use sharding::{BadSize, ShardSize};
pub use source::CheckpointSource;
pub use stored::FamilyTensors;
pub use weight_tensors::WeightTensors;
pub use writer::{SaveProgress, TensorSource, TensorSpec, Written};
