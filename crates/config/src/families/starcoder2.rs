//! StarCoder2: LayerNorm, an MLP without a gate, one switch for all biases.

use super::field::Field::{Idle, Switch};
use super::{Family, llama, windows};
use crate::layer::{AttentionBias, Gate};
use crate::names::TensorName::Named;
use crate::norm::NormConfig;
use crate::outline::Outline;
use crate::values::Activation;

pub(super) const FAMILY: Family = Family {
    architecture: "Starcoder2ForCausalLM",
    num_key_value_heads: Some(2),
    max_position_embeddings: 4096,
    bos_token_id: &[50_256],
    eos_token_id: &[50_256],
    tie_word_embeddings: true,
    activation: ("hidden_act", Activation::GeluTanh),
    norm_eps: ("norm_epsilon", 1e-5),
    differs: |outline| {
        outline.norm = NormConfig::layer(outline.norm.eps, true);
        outline.mlp.gate = Gate::None;
        biases(outline, true);
    },
    fields: &[
        Switch("use_bias", |outline| outline.mlp.bias, biases),
        Idle(&["residual_dropout", "embedding_dropout"], "it has no part in running a model"),
        windows::EVERYWHERE,
    ],
    ignored: &[],
    names: &[Named("mlp.up_proj", "mlp.c_fc"), Named("mlp.down_proj", "mlp.c_proj")],
    ..llama::FAMILY
};

fn biases(outline: &mut Outline, has: bool) {
    outline.attention.bias = AttentionBias { q_k_v: has, o: has };
    outline.mlp.bias = has;
}
