//! Apertus: normalised queries and keys, an MLP without a gate, and an activation with learned numbers.

use serde_json::json;

use super::field::Field::Idle;
use super::field::{ATTENTION_BIAS, qk_norm};
use super::{Family, llama, windows};
use crate::layer::Gate;
use crate::names::TensorName::Named;
use crate::norm::QkNormOver;
use crate::rope::RopeRule;
use crate::values::Activation;

pub(super) const FAMILY: Family = Family {
    architecture: "ApertusForCausalLM",
    max_position_embeddings: 65_536,
    activation: ("hidden_act", Activation::Xielu),
    norm_eps: ("rms_norm_eps", 1e-5),
    rope: RopeRule {
        theta: 12e6,
        absent: || {
            json!({
                "rope_type": "llama3", "rope_theta": 12e6, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            })
        },
        ..RopeRule::LLAMA
    },
    differs: |outline| {
        outline.mlp.gate = Gate::None;
        qk_norm(outline, QkNormOver::Head);
    },
    fields: &[
        ATTENTION_BIAS,
        Idle(&["post_norm", "mlp_bias"], "apertus has norms before its blocks and no biases in its MLP"),
        windows::NEVER,
    ],
    ignored: &[],
    names: &[
        Named("input_layernorm", "attention_layernorm"),
        Named("post_attention_layernorm", "feedforward_layernorm"),
    ],
    ..llama::FAMILY
};
