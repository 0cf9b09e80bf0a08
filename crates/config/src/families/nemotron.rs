//! Nemotron: LayerNorm with 1 + w, an MLP without a gate that squares what is above 0, RoPE on half a head.

use super::{Family, llama};
use crate::layer::Gate;
use crate::norm::NormConfig;
use crate::rope::RopeRule;
use crate::values::Activation;

pub(super) const FAMILY: Family = Family {
    architecture: "NemotronForCausalLM",
    max_position_embeddings: 4096,
    bos_token_id: &[2],
    eos_token_id: &[3],
    activation: ("hidden_act", Activation::Relu2),
    norm_eps: ("norm_eps", 1e-5),
    rope: RopeRule { partial: Some(0.5), ..RopeRule::LLAMA },
    differs: |outline| {
        outline.norm = NormConfig::layer(outline.norm.eps, true).one_plus();
        outline.mlp.gate = Gate::None;
    },
    ignored: &[],
    ..llama::FAMILY
};
