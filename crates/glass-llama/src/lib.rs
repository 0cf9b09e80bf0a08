//! Glass Llama from Rust: what one needs to run a model, under one name.
//!
//! A folder, or a name on the hub ([`hub::resolve`]), becomes a [`Llama`] on a [`Device`]; [`generate()`] continues a text,
//! a [`Conversation`] answers messages, [`eval`] measures. Each idea is a crate of its own, named here as a module; what most
//! programs use stands at the top.
//!
//! Examples, from the simplest on: `hello` · `stream` (several texts at once, token by token) · `sampler` (a sampler of one's
//! own) · `capture_attention` (a look inside) · `cache_policy` (a policy of one's own).

use std::path::Path;

pub use burn;

pub use glass_attention as attention;
pub use glass_backend as backend;
pub use glass_causal_lm as causal_lm;
pub use glass_checkpoint as checkpoint;
pub use glass_config as config;
pub use glass_eval as eval;
pub use glass_generate as generate;
pub use glass_hub as hub;
pub use glass_text as text;

pub use glass_backend::{Device, Dtype};
pub use glass_generate::{
    Conversation, Engine, Error, FinishReason, GenerateOptions, Generated, Llama, LoadOptions,
    PrefillOptions, Progress, SamplingConfig, Sequence, generate, generate_batch,
};
pub use glass_text::{ChatTemplate, Message, Role, Tokenizer};

/// The model in `folder`, in float32; [`Llama::load`] has all choices.
///
/// # Errors
/// As [`Llama::load`].
pub fn load(folder: impl AsRef<Path>, device: Device) -> Result<Llama, Error> {
    let options = LoadOptions {
        device,
        dtype: Dtype::F32,
        quantize: None,
        fake_quantize: false,
        overrides: &[],
        progress: &mut |_, _| (),
    };
    Llama::load(folder.as_ref(), options)
}
