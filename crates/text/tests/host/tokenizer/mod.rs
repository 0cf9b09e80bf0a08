//! Small tokenizers; `tokenizer_cases.rs` has those of real models.

mod bytes;
mod encoding;
mod folders;
mod ordinary;
mod streaming;
pub mod tiny;
