//! Granite: multipliers on embeddings, scores and what blocks add; logits are divided.

use super::field::{ATTENTION_BIAS, EMBEDDING, LOGITS_OVER, MLP_BIAS, RESIDUAL, SCALE};
use super::{Family, llama, windows};

pub(super) const FAMILY: Family = Family {
    architecture: "GraniteForCausalLM",
    differs: |outline| outline.attention.scale = 1.0,
    fields: &[ATTENTION_BIAS, MLP_BIAS, EMBEDDING, SCALE, RESIDUAL, LOGITS_OVER, windows::NEVER],
    ignored: &[],
    ..llama::FAMILY
};
