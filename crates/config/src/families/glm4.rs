//! GLM-4 of 2025: its predecessor with norms behind the blocks too.

use super::{Family, glm};
use crate::names::TensorName::InSandwich;
use crate::norm::NormPlacement;

pub(super) const FAMILY: Family = Family {
    architecture: "Glm4ForCausalLM",
    differs: |outline| {
        (glm::FAMILY.differs)(outline);
        outline.norms = NormPlacement::Sandwich;
    },
    names: &[
        glm::FAMILY.names[0],
        InSandwich("post_attention_layernorm", "post_self_attn_layernorm"),
        InSandwich("pre_feedforward_layernorm", "post_attention_layernorm"),
        InSandwich("post_feedforward_layernorm", "post_mlp_layernorm"),
    ],
    ..glm::FAMILY
};
