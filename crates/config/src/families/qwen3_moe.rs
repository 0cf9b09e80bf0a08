//! Qwen3-MoE: Qwen3 with experts.

use super::experts::{self, Absent};
use super::field::ATTENTION_BIAS;
use super::field::Field::{Idle, Own};
use super::{Family, qwen3, windows};

pub(super) const FAMILY: Family = Family {
    architecture: "Qwen3MoeForCausalLM",
    renamed: &[("num_experts", "num_local_experts")],
    num_key_value_heads: Some(4),
    head_dim: None,
    fields: &[
        ATTENTION_BIAS,
        windows::ALL_SWITCHED,
        Idle(&["max_window_layers"], "all layers of qwen3_moe slide, or none"),
        Own(
            |fields, outline| experts::read_qwen(fields, outline, ABSENT, 768, None),
            |outline| experts::write_qwen(outline, ABSENT.name),
        ),
        experts::TRAINING,
    ],
    ..qwen3::FAMILY
};

const ABSENT: Absent = Absent { name: "num_local_experts", num_experts: 128, num_experts_per_tok: 8 };
