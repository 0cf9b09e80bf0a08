//! Llama: full attention in all layers; one switch for the biases of attention and one for the MLP's.

use super::field::{ATTENTION_BIAS, MLP_BIAS};
use super::{Family, windows};
use crate::fields::off;
use crate::rope::RopeRule;
use crate::values::Activation;

pub(super) const FAMILY: Family = Family {
    architecture: "LlamaForCausalLM",
    attention: true,
    mlp: true,
    renamed: &[],
    vocab_size: None,
    num_attention_heads: None,
    num_key_value_heads: None,
    head_dim: None,
    max_position_embeddings: 2048,
    bos_token_id: &[1],
    eos_token_id: &[2],
    tie_word_embeddings: false,
    activation: ("hidden_act", Activation::Silu),
    norm_eps: ("rms_norm_eps", 1e-6),
    rope: RopeRule::LLAMA,
    rereads: false,
    differs: |_| {},
    fields: &[ATTENTION_BIAS, MLP_BIAS, windows::NEVER],
    ignored: &[(
        &["sliding_window", "use_sliding_window", "max_window_layers"],
        off,
        "llama never slides; set model_type=mistral for a window in every layer",
    )],
    names: &[],
};
