//! Tokenizers small enough to see through; `tokenizer_cases.rs` has the real ones.

mod bytes;
mod encoding;
mod ordinary;
mod streaming;
pub mod tiny;
