//! GLM-4 of 2024: interleaved RoPE on the first half of a head, biases on q, k and v, gate and up in one tensor.

use super::field::QKV_BIAS;
use super::{Family, llama, windows};
use crate::names::TensorName::Rows;
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "GlmForCausalLM",
    num_key_value_heads: Some(2),
    head_dim: Some(128),
    max_position_embeddings: 131_072,
    bos_token_id: &[],
    eos_token_id: &[151_329, 151_336, 151_338],
    norm_eps: ("rms_norm_eps", 1.5625e-7),
    rope: RopeRule { partial: Some(0.5), interleaved: true, ..RopeRule::LLAMA },
    differs: |outline| outline.attention.bias.q_k_v = true,
    fields: &[QKV_BIAS, windows::NEVER],
    ignored: &[],
    names: &[Rows("mlp.gate_up_proj", &["mlp.gate_proj", "mlp.up_proj"])],
    ..llama::FAMILY
};
