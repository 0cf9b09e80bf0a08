//! Phi-3 and Phi-4: the rows of q, k, v lie together in the files, and those of gate and up; part of a head is rotated.

use serde_json::json;

use super::field::Field::{Idle, Own};
use super::{Family, llama, windows};
use crate::names::TensorName::Rows;
use crate::rope::{RopeRule, RopeScaling};

pub(super) const FAMILY: Family = Family {
    architecture: "Phi3ForCausalLM",
    max_position_embeddings: 4096,
    eos_token_id: &[32_000],
    norm_eps: ("rms_norm_eps", 1e-5),
    rope: RopeRule {
        types: &["default", "longrope"],
        partial: Some(1.0),
        original_max_position_embeddings: Some(4096),
        ..RopeRule::LLAMA
    },
    rereads: true,
    fields: &[
        windows::EVERYWHERE,
        // It is read with the RoPE; its place in the file is the family's own.
        Own(
            |_, _| Ok(()),
            |outline| match outline.ropes.first().map(|rope| &rope.scaling) {
                Some(RopeScaling::Longrope(longrope)) => {
                    json!({ "original_max_position_embeddings": longrope.original_max_position_embeddings })
                }
                _ => json!({}),
            },
        ),
        Idle(&["resid_pdrop", "embd_pdrop"], "it has no part in running a model"),
    ],
    ignored: &[],
    names: &[
        Rows("self_attn.qkv_proj", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        Rows("mlp.gate_up_proj", &["mlp.gate_proj", "mlp.up_proj"]),
    ],
    ..llama::FAMILY
};
