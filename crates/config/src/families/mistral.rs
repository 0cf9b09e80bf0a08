//! Mistral: a window in all layers or in none; no biases.

use super::field::Field::{Fixed, Own};
use super::{Family, llama, windows};
use crate::fields::none;

pub(super) const FAMILY: Family = Family {
    architecture: "MistralForCausalLM",
    num_key_value_heads: Some(8),
    max_position_embeddings: 131_072,
    fields: &[
        Fixed("attention_bias", false, "mistral's attention has no biases"),
        Fixed("mlp_bias", false, "mistral's MLP has no biases"),
        Own(|fields, outline| windows::everywhere(fields, outline, Some(4096)), windows::write_everywhere),
    ],
    ignored: &[(
        &["use_sliding_window", "max_window_layers"],
        none,
        "mistral slides in all layers unless sliding_window is null",
    )],
    ..llama::FAMILY
};
