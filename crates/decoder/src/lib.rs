//! One decoder layer: attention, then an MLP, each added to the residual stream.
//!
//! Reading order: [`LlamaDecoderLayer`] · [`LlamaMlp`] and its activations · [`LlamaExperts`] and their router · [`Norm`] (in
//! `backend`, because attention norms heads too).

mod decoder_layer;
mod experts;
mod mlp;
mod router;

pub use decoder_layer::LlamaDecoderLayer;
pub use experts::LlamaExperts;
pub use glass_backend::Norm;
pub use mlp::{LlamaMlp, Mlp};
