//! What a Hugging Face `config.json` says about a Llama, typed and checked.
//!
//! A *config* is the page of numbers that turns "the Llama architecture" into one particular model: the width of the
//! residual stream, the rotation of positions, and for each layer its heads, window, biases and norms.
//!
//! The file has two dialects. transformers 4 writes `rope_theta`, `rope_scaling` and `torch_dtype`; transformers 5 writes
//! `rope_parameters` and `dtype`. And it has three families here, `llama`, `mistral` and `qwen2`, whose classes in
//! transformers fill absent fields with different defaults and hard-wire different biases and windows. Only this crate
//! knows any of this. A [`LlamaConfig`] leaves it, with layers as data: no other crate reads JSON or asks for the family.
//!
//! The reference is transformers 5.23.0 (`configuration_*.py`, `modeling_*.py`, `modeling_rope_utils.py`). Where it warns
//! and computes something doubtful, or silently prefers one of two contradicting fields, this crate refuses the file and
//! says why. A field that would change the result and is not built here is refused by name. Every other field without use
//! is listed in [`LlamaConfig::ignored`].
//!
//! Reading order: what comes out, and then the way of a file.
//! 1. [`LlamaConfig`] (`llama_config.rs`), its [`LayerConfig`]s (`layer.rs`) and [`NormConfig`] (`norm.rs`)
//! 2. `file.rs`: a path becomes a JSON object
//! 3. `dialect.rs`: the version-4 dialect becomes version 5's, without what the family's class does not read
//! 4. [`Override`] (`overrides.rs`): the user's `key=value` pairs are laid over it
//! 5. `read.rs`: the object becomes a config, one typed and checked field at a time (`fields.rs`, `values.rs`)
//! 6. `families.rs`: a family's rule turns fields into layers
//! 7. [`RopeParameters`] (`rope.rs`): RoPE and its frequencies
//! 8. `refused.rs`: a field that was not read is refused, reported, or harmless
//! 9. `write.rs`: and back to JSON
//! 10. `gguf.rs`: the keys of a GGUF file become such an object

mod dialect;
mod dual_chunk;
mod error;
mod families;
mod fields;
mod file;
mod gguf;
mod layer;
mod llama_config;
mod names;
mod norm;
mod outline;
mod overrides;
mod quantization;
mod read;
mod recurrent;
mod refused;
mod rope;
mod values;
mod write;

pub use dual_chunk::DualChunk;
pub use error::{ConfigError, FieldError};
pub use families::ModelType;
pub use fields::IgnoredField;
pub use file::{Stored, config_text};
pub use gguf::{GgufArchitecture, POSITIONS};
pub use layer::{
    AttentionBias, AttentionConfig, DenseMlpConfig, ExpertsConfig, Gate, LayerConfig, MixerConfig, MlpConfig,
    RouterConfig, RouterWeights, SharedExpertConfig, Temperature,
};
pub use llama_config::LlamaConfig;
pub use names::StoredRows;
pub use norm::{NormConfig, NormKind, NormPlacement, NormWeight, QkNorm, QkNormOver};
pub use overrides::Override;
pub use quantization::{QuantizationConfig, QuantizationGroup};
pub use recurrent::{Mamba2Config, MambaConfig, RetentionConfig, RgLruConfig, StateShape, TimeStepConfig};
pub use rope::{
    DynamicScaling, LinearScaling, Llama3Scaling, LongropeScaling, RopeParameters, RopeScaling, YarnScaling,
};
pub use values::{Activation, Dtype};
