//! The stack: embedding, layers, final norm.

mod llama_model;

pub use llama_model::LlamaModel;
