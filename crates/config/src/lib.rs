//! What a Hugging Face `config.json` says about a Llama, typed and checked.
//!
//! A *config* is the page of numbers that turns "the Llama architecture" into one particular model:
//! how wide the residual stream is, how positions are rotated, and for each layer how many heads
//! attend through which window, which projections carry a bias, where the norms are. With the config
//! and the weights a model is complete.
//!
//! The file has two dialects. transformers 4 writes `rope_theta`, `rope_scaling` and `torch_dtype`;
//! transformers 5 writes `rope_parameters` and `dtype`. And it has three families here, `llama`,
//! `mistral` and `qwen2`, whose classes in transformers fill absent fields with different defaults
//! and hard-wire different biases and windows. This crate is the only place that knows any of this:
//! what leaves it is a [`LlamaConfig`], a list of layers as data, so that no other crate reads JSON
//! or asks for the model's type.
//!
//! The reference is transformers 5.23.0 (`configuration_*.py`, `modeling_*.py`,
//! `modeling_rope_utils.py`). Where that code warns and computes something doubtful, or silently
//! prefers one of two contradicting fields, this crate refuses the file and says why. A field that
//! would change the result and is not built here is refused by name; every other field without use
//! is listed in [`LlamaConfig::ignored`].
//!
//! To read the code, begin with what comes out, and then follow a file on its way:
//! 1. [`LlamaConfig`] (`llama_config.rs`) and its [`LayerConfig`]s (`layer.rs`)
//! 2. `file.rs`: a path becomes a JSON object
//! 3. `dialect.rs`: the version-4 dialect becomes version 5's
//! 4. [`Override`] (`overrides.rs`): `key=value` pairs of the user are laid over it
//! 5. `read.rs`: the object becomes a config, one typed and checked field at a time
//!    (`fields.rs`, `values.rs`)
//! 6. `families.rs`: a family's rule turns fields into layers
//! 7. [`RopeParameters`] (`rope.rs`): the rotation and the frequencies that it gives
//! 8. `refused.rs`: what was not read is refused, reported, or harmless
//! 9. `write.rs`: and back to JSON

mod dialect;
mod error;
mod families;
mod fields;
mod file;
mod layer;
mod llama_config;
mod overrides;
mod quantization;
mod read;
mod refused;
mod rope;
mod values;
mod write;

pub use error::{ConfigError, FieldError};
pub use families::ModelType;
pub use fields::IgnoredField;
pub use file::{Stored, config_text};
pub use layer::{
    AttentionBias, AttentionConfig, DenseMlpConfig, LayerConfig, MixerConfig, MlpConfig,
    NormPlacement,
};
pub use llama_config::LlamaConfig;
pub use overrides::Override;
pub use quantization::{QuantizationConfig, QuantizationGroup};
pub use rope::{
    DynamicScaling, LinearScaling, Llama3Scaling, LongropeScaling, RopeParameters, RopeScaling,
    YarnScaling,
};
pub use values::{Activation, Dtype};
