//! One layer of the decoder: attention and an MLP, each behind a norm and beside a residual.
//!
//! Reading order: [`LlamaRmsNorm`] · [`LlamaMlp`] · [`LlamaDecoderLayer`].

mod decoder_layer;
mod mlp;

pub use decoder_layer::LlamaDecoderLayer;
pub use glass_backend::LlamaRmsNorm;
pub use mlp::LlamaMlp;
