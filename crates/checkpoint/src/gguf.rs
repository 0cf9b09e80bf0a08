//! GGUF files as checkpoints: their names, their blocks, and a model of theirs as tensors to be saved.

mod file_type;
mod names;
mod source;

pub use file_type::FileType;
pub use names::stored_in_gguf;
pub use source::GgufSource;
