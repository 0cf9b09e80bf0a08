//! GGUF, the file of a whole model that llama.cpp reads: config, tokenizer, chat template and weights in one.
//!
//! Layout (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>), little-endian: `GGUF`, a version, the numbers of
//! tensors and of keys; the keys, each with a typed value; of each tensor its name, shape, type and where its data begins;
//! then, padded to a multiple of the alignment, the data.
//!
//! Reading order: [`Gguf`] (a file, or all splits of one) · [`Metadata`] and [`Value`] (its keys) · [`GgmlType`] (how a
//! tensor's numbers are stored) · `header.rs` (reading with nothing taken on trust) · [`Writer`] · [`Mapping`] (a mapped
//! file, of any format). What keys and tensors mean to a model is no matter of this crate.

mod cursor;
mod error;
mod foreign;
mod ggml_type;
mod gguf;
mod header;
mod mapping;
mod metadata;
mod number;
mod splits;
mod value;
mod writer;

pub use error::GgufError;
pub use ggml_type::GgmlType;
pub use gguf::{Gguf, Tensor};
pub use mapping::Mapping;
pub use metadata::Metadata;
pub use splits::SplitName;
pub use value::{Array, Strings, Value, ValueType};
pub use writer::{TensorInfo, Writer};
