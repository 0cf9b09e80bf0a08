//! HyperCLOVA X SEED Think: multipliers on embeddings, scores, what blocks add, and logits; norms behind the blocks too.

use super::field::Field::Switch;
use super::field::{ATTENTION_BIAS, EMBEDDING, LOGITS_TIMES, MLP_BIAS, RESIDUAL, SCALE};
use super::{Family, llama, windows};
use crate::names::TensorName::InSandwich;
use crate::norm::NormPlacement::{Pre, Sandwich};

pub(super) const FAMILY: Family = Family {
    architecture: "HyperCLOVAXForCausalLM",
    differs: |outline| outline.norms = Sandwich,
    fields: &[
        ATTENTION_BIAS,
        MLP_BIAS,
        EMBEDDING,
        SCALE,
        RESIDUAL,
        LOGITS_TIMES,
        Switch(
            "use_post_norm",
            |outline| outline.norms == Sandwich,
            |outline, both| outline.norms = if both { Sandwich } else { Pre },
        ),
        windows::NEVER,
    ],
    ignored: &[],
    names: &[
        InSandwich("post_attention_layernorm", "post_norm1"),
        InSandwich("pre_feedforward_layernorm", "post_attention_layernorm"),
        InSandwich("post_feedforward_layernorm", "post_norm2"),
    ],
    ..llama::FAMILY
};
