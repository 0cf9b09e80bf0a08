//! Gemma 2: Gemma with norms before and behind each block, soft caps, its own score scale, and every second layer full.

use super::field::Field::{Idle, Own};
use super::field::{ATTENTION_BIAS, CAUSAL, LOGITS_CAP, QUERY_SCALAR, SCORE_CAP};
use super::{Family, gemma, windows};
use crate::norm::NormPlacement;
use crate::outline::Outline;
use crate::values::Activation;

pub(super) const FAMILY: Family = Family {
    architecture: "Gemma2ForCausalLM",
    num_key_value_heads: Some(4),
    activation: ("hidden_activation", Activation::GeluTanh),
    differs: |outline| {
        differs(outline);
        outline.attention.soft_cap = Some(50.0);
        outline.logits_soft_cap = Some(30.0);
    },
    fields: &[
        ATTENTION_BIAS,
        CAUSAL,
        QUERY_SCALAR,
        SCORE_CAP,
        LOGITS_CAP,
        Idle(&["hidden_act"], "gemma2 goes by hidden_activation"),
        Own(|fields, outline| windows::by_type(fields, outline, 4096, (2, false)), windows::write_types),
    ],
    ..gemma::FAMILY
};

pub(super) fn differs(outline: &mut Outline) {
    gemma::differs(outline);
    outline.norms = NormPlacement::Sandwich;
    outline.attention.scale = 256f64.powf(-0.5);
}
