//! What a Hugging Face `config.json` says about a Llama, typed and checked.
//!
//! A *config* is the page of numbers that turns "the Llama architecture" into one particular model:
//! how wide the residual stream is, how many layers and heads there are, how positions are rotated,
//! which layers look through a sliding window, which projections carry a bias. With the config and
//! the weights a model is complete.
//!
//! The file has two dialects. transformers 4 writes `rope_theta`, `rope_scaling` and `torch_dtype`;
//! transformers 5 writes `rope_parameters` and `dtype`. And it has three families here, `llama`,
//! `mistral` and `qwen2`, whose classes in transformers fill absent fields with different defaults
//! and hard-wire different biases and windows. This crate is the only place that knows any of this:
//! what leaves it is a [`LlamaConfig`] in which every question is answered, so that no other crate
//! reads JSON or asks for the model's type.
//!
//! The reference is transformers 5.23.0 (`configuration_*.py`, `modeling_*.py`,
//! `modeling_rope_utils.py`). Where that code warns and computes something doubtful, or silently
//! prefers one of two contradicting fields, this crate refuses the file and says why. A field that
//! would change the result and is not built here is refused by name; every other field without use
//! is listed in [`LlamaConfig::ignored`].
//!
//! To read the code, follow a file on its way:
//! 1. [`LlamaConfig`] (`llama_config.rs`): where the way ends, and its first and last step
//! 2. `parse.rs`: bytes become a JSON object
//! 3. `normalise.rs`: the version-4 dialect becomes version 5's
//! 4. [`Override`] (`overrides.rs`): `key=value` pairs of the user replace fields
//! 5. `fields.rs`: one field at a time becomes a Rust value
//! 6. `read.rs`: the fields become a config, with `family.rs`, `layers.rs`, `rope.rs`, `tokens.rs`,
//!    `quantization.rs`
//! 7. `unused.rs`, `foreign_fields.rs`: what nobody asked for is refused, reported, or harmless
//! 8. `validate.rs`, `rope_rules.rs`: do the values make a model?
//! 9. `write.rs`: and back to JSON
//!
//! Beside that way, `config_text.rs` copies a file.

mod config_text;
mod error;
mod family;
mod fields;
mod foreign_fields;
mod layer_config;
mod layers;
mod llama_config;
mod normalise;
mod overrides;
mod parse;
mod quantization;
mod read;
mod rope;
mod rope_rules;
mod tokens;
mod unused;
mod validate;
mod values;
mod write;

pub use config_text::{Stored, config_text};
pub use error::{ConfigError, FieldError};
pub use family::{Bias, ModelType};
pub use layer_config::{
    AttentionBias, AttentionConfig, DenseMlpConfig, LayerConfig, MixerConfig, MlpConfig,
    NormPlacement,
};
pub use layers::LayerType;
pub use llama_config::{IgnoredField, LlamaConfig};
pub use overrides::Override;
pub use quantization::{QuantizationConfig, QuantizationGroup};
pub use rope::{RopeParameters, RopeType};
pub use values::{Activation, Dtype};
