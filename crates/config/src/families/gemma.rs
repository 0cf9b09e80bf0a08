//! Gemma: norms multiply by 1 + w, embeddings by sqrt(hidden_size), and the gate is GELU's.

use serde_json::json;

use super::field::Field::{Idle, Own};
use super::field::{ATTENTION_BIAS, CAUSAL};
use super::{Family, llama, windows};
use crate::outline::Outline;
use crate::values::Activation;

pub(super) const FAMILY: Family = Family {
    architecture: "GemmaForCausalLM",
    num_key_value_heads: Some(16),
    head_dim: Some(256),
    max_position_embeddings: 8192,
    bos_token_id: &[2],
    eos_token_id: &[1],
    tie_word_embeddings: true,
    activation: ("hidden_act", Activation::GeluTanh),
    differs,
    fields: &[
        ATTENTION_BIAS,
        CAUSAL,
        Idle(&["hidden_activation"], "gemma goes by hidden_act"),
        // The first files say `gelu` and mean its approximation.
        Own(
            |_, outline| {
                approximate(&mut outline.mlp.hidden_act);
                Ok(())
            },
            |_| json!({}),
        ),
        windows::NEVER,
    ],
    ..llama::FAMILY
};

pub(super) fn differs(outline: &mut Outline) {
    outline.norm = outline.norm.one_plus();
    outline.embedding_scale = (outline.hidden_size as f64).sqrt();
}

fn approximate(activation: &mut Activation) {
    if *activation == Activation::Gelu {
        *activation = Activation::GeluTanh;
    }
}
