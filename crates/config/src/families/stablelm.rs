//! StableLM: LayerNorm, RoPE on the first quarter of a head; at choice parallel blocks and a q/k norm of each head.

use super::field::Field::{Idle, Own, Switch};
use super::field::QKV_BIAS;
use super::{Family, llama, windows};
use crate::names::TensorName::EachHead;
use crate::norm::NormPlacement::{Parallel, Pre};
use crate::norm::{NormConfig, QkNorm, QkNormOver};
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "StableLmForCausalLM",
    num_key_value_heads: Some(32),
    max_position_embeddings: 4096,
    bos_token_id: &[0],
    eos_token_id: &[0],
    norm_eps: ("layer_norm_eps", 1e-5),
    rope: RopeRule { partial: Some(0.25), ..RopeRule::LLAMA },
    differs: |outline| outline.norm = NormConfig::layer(outline.norm.eps, true),
    fields: &[
        QKV_BIAS.named("use_qkv_bias"),
        Switch(
            "use_parallel_residual",
            |outline| outline.norms == Parallel,
            |outline, parallel| outline.norms = if parallel { Parallel } else { Pre },
        ),
        Switch(
            "qk_layernorm",
            |outline| outline.attention.qk_norm.is_some(),
            |outline, has| {
                let norm = NormConfig::layer(outline.norm.eps, false);
                outline.attention.qk_norm = has.then_some(QkNorm { norm, over: QkNormOver::EachHead });
            },
        ),
        Own(windows::whole_heads, |_| serde_json::json!({})),
        Idle(&["hidden_dropout"], "it has no part in running a model"),
        windows::NEVER,
    ],
    ignored: &[],
    names: &[
        EachHead("self_attn.q_norm", "self_attn.q_layernorm.norms"),
        EachHead("self_attn.k_norm", "self_attn.k_layernorm.norms"),
    ],
    ..llama::FAMILY
};
