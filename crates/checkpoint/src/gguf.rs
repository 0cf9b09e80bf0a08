//! GGUF files as checkpoints: their names, their blocks, and a model of theirs as tensors to be saved; and a folder as a
//! file.

mod file_type;
mod mixture;
mod names;
mod source;
mod write;

pub use file_type::FileType;
pub use mixture::GgufFormat;
pub use names::stored_in_gguf;
pub use source::GgufSource;
pub use write::{GgufModel, GgufPlan, GgufWriteError};
