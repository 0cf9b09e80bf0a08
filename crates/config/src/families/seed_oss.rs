//! Seed-OSS: a Llama with biases on q, k and v, and a switch for each kind of bias.

use super::field::Field::Idle;
use super::field::{MLP_BIAS, O_BIAS, QKV_BIAS};
use super::{Family, llama, windows};

pub(super) const FAMILY: Family = Family {
    architecture: "SeedOssForCausalLM",
    num_key_value_heads: Some(8),
    head_dim: Some(128),
    max_position_embeddings: 524_288,
    bos_token_id: &[0],
    differs: |outline| outline.attention.bias.q_k_v = true,
    fields: &[
        QKV_BIAS,
        O_BIAS,
        MLP_BIAS,
        Idle(&["residual_dropout"], "it has no part in running a model"),
        windows::NEVER,
    ],
    ignored: &[],
    ..llama::FAMILY
};
