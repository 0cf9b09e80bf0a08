//! Qwen2-MoE: Qwen2 with experts beside a shared one.

use super::experts::{self, Absent};
use super::field::Field::Own;
use super::field::QKV_BIAS;
use super::{Family, qwen2, windows};

pub(super) const FAMILY: Family = Family {
    architecture: "Qwen2MoeForCausalLM",
    num_key_value_heads: Some(16),
    fields: &[
        QKV_BIAS.named("qkv_bias"),
        Own(
            |fields, outline| windows::qwen(fields, outline, |i, layers| i.is_multiple_of(2) && i < layers),
            windows::write_qwen,
        ),
        Own(
            |fields, outline| experts::read_qwen(fields, outline, ABSENT, 1408, Some(5632)),
            |outline| experts::write_qwen(outline, ABSENT.name),
        ),
        experts::TRAINING,
    ],
    ..qwen2::FAMILY
};

const ABSENT: Absent = Absent { name: "num_experts", num_experts: 60, num_experts_per_tok: 4 };
