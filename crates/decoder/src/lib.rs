//! One layer of the decoder: attention and an MLP, each behind a norm and beside a residual.
//!
//! Reading order: [`LlamaRmsNorm`] · [`LlamaMlp`] · [`LlamaDecoderLayer`].

mod decoder_layer;
mod mlp;
mod rms_norm;

pub use decoder_layer::LlamaDecoderLayer;
pub use mlp::LlamaMlp;
pub use rms_norm::LlamaRmsNorm;
