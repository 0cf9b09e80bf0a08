//! Small tokenizers; `tokenizer_cases.rs` has those of real models.

mod bytes;
mod encoding;
mod ordinary;
mod streaming;
pub mod tiny;
