//! Mixtral: Mistral with experts.

use super::experts::{self, Absent};
use super::field::Field::Own;
use super::{Family, mistral, windows};
use crate::layer::{RouterConfig, RouterWeights};
use crate::names::TensorName::Named;
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "MixtralForCausalLM",
    renamed: &[("num_experts", "num_local_experts")],
    norm_eps: ("rms_norm_eps", 1e-5),
    rope: RopeRule { theta: 1e6, ..RopeRule::LLAMA },
    fields: &[
        windows::EVERYWHERE,
        Own(
            |fields, outline| {
                let router = RouterConfig { weights: RouterWeights::SoftmaxAllRenormalised, bias: false };
                experts::read(fields, outline, ABSENT, outline.mlp, router)
            },
            |outline| experts::write(outline, ABSENT.name),
        ),
        experts::TRAINING,
    ],
    names: &[
        Named("mlp.experts.*.gate_proj", "block_sparse_moe.experts.*.w1"),
        Named("mlp.experts.*.down_proj", "block_sparse_moe.experts.*.w2"),
        Named("mlp.experts.*.up_proj", "block_sparse_moe.experts.*.w3"),
        Named("mlp.gate", "block_sparse_moe.gate"),
    ],
    ..mistral::FAMILY
};

const ABSENT: Absent = Absent { name: "num_local_experts", num_experts: 8, num_experts_per_tok: 2 };
