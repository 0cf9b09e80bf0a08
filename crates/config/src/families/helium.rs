//! Helium: a Llama with interleaved RoPE, and heads as wide together as the residual stream.

use super::field::Field::Own;
use super::field::{MLP_BIAS, QKV_BIAS};
use super::{Family, llama, windows};
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "HeliumForCausalLM",
    num_key_value_heads: Some(20),
    head_dim: Some(128),
    max_position_embeddings: 4096,
    norm_eps: ("rms_norm_eps", 1e-8),
    rope: RopeRule { theta: 1e5, interleaved: true, ..RopeRule::LLAMA },
    fields: &[QKV_BIAS, MLP_BIAS, Own(windows::whole_heads, |_| serde_json::json!({})), windows::NEVER],
    ignored: &[],
    ..llama::FAMILY
};
