//! Qwen3: Qwen2 with normalised queries and keys in place of biases.

use super::field::{ATTENTION_BIAS, qk_norm};
use super::{Family, qwen2};
use crate::norm::QkNormOver;

pub(super) const FAMILY: Family = Family {
    architecture: "Qwen3ForCausalLM",
    head_dim: Some(128),
    differs: |outline| qk_norm(outline, QkNormOver::Head),
    fields: &[ATTENTION_BIAS, qwen2::WINDOWS],
    ..qwen2::FAMILY
};
