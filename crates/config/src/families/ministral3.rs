//! Ministral 3: Mistral whose queries are multiplied by what their position says; YaRN.

use serde_json::json;

use super::{Family, mistral, windows};
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "Ministral3ForCausalLM",
    head_dim: Some(128),
    max_position_embeddings: 262_144,
    norm_eps: ("rms_norm_eps", 1e-5),
    rope: RopeRule {
        temperature: true,
        absent: || {
            json!({
                "rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16_384,
                "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1,
            })
        },
        ..RopeRule::LLAMA
    },
    fields: &[windows::EVERYWHERE],
    ..mistral::FAMILY
};
