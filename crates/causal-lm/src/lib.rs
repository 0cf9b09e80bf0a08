//! From hidden states to text: the head, checkpoints on disk and on the hub, the tokenizer, and generation.
//!
//! Reading order: [`LlamaForCausalLM`] (the head) · [`Llama`] (a model loaded from a folder) · [`checkpoint`] and
//! [`hub`] (where its weights come from) · [`tokenizer`] · [`generate`] (one token after the other) · [`eval`] (how good
//! it is) · [`chat`] (conversations) · [`convert()`] and [`quantize()`] (a folder written again).

mod convert;
mod error;
mod llama;
mod llama_for_causal_lm;
mod quantize;
mod small_file;

pub mod chat;
pub mod checkpoint;
pub mod eval;
pub mod generate;
pub mod hub;
pub mod tokenizer;

pub use convert::{Conversion, ConvertOptions, check_target, convert};
pub use error::Error;
pub use llama::{Llama, LoadOptions, Memory};
pub use llama_for_causal_lm::{LlamaForCausalLM, LogitsFor};
pub use quantize::{Quantization, quantize};
