//! Tokenizers small enough to see through; `tokenizer_cases.rs` has the real ones.

mod bytes;
mod encoding;
mod ordinary;
mod streaming;
mod tiny;
