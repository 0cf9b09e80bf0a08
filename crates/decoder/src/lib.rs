//! One decoder layer: attention, then an MLP, each added to the residual stream.
//!
//! Reading order: [`LlamaDecoderLayer`] · [`LlamaMlp`] · [`LlamaRmsNorm`] (in `backend`, because attention norms heads too).

mod decoder_layer;
mod mlp;

pub use decoder_layer::LlamaDecoderLayer;
pub use glass_backend::LlamaRmsNorm;
pub use mlp::LlamaMlp;
