//! Glass Llama from Rust: what one needs to run a model, under one name.
//!
//! A folder, a GGUF file or a name on the hub ([`hub::resolve`]) becomes a [`Llama`] on a [`Device`]; [`generate()`] continues
//! a text, an [`Engine`] many, a [`Conversation`] answers messages, [`eval`] measures. Each idea is a crate of its own, named
//! here as a module; what most programs use stands at the top. Tensors are those of [`burn`].
//!
//! Examples, in the order of what they ask of a reader: `hello` · `stream` · `capture_attention` · `sampler` ·
//! `cache_policy`.

pub use burn;

pub use glass_attention as attention;
pub use glass_backend as backend;
pub use glass_causal_lm as causal_lm;
pub use glass_checkpoint as checkpoint;
pub use glass_config as config;
pub use glass_decoder as decoder;
pub use glass_eval as eval;
pub use glass_generate as generate;
pub use glass_gguf as gguf;
pub use glass_hub as hub;
pub use glass_kv_cache as kv_cache;
pub use glass_model as model;
pub use glass_text as text;

pub use glass_backend::{Device, Dtype};
pub use glass_checkpoint::Precision;
pub use glass_generate::{
    Conversation, Engine, Error, FinishReason, GenerateOptions, Generated, Lane, Llama, LoadOptions, ModelFiles,
    PrefillOptions, Progress, Sampler, SamplingConfig, Sequence, generate, generate_batch,
};
pub use glass_text::{ChatTemplate, Message, Role, Tokenizer};
