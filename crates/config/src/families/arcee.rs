//! Arcee: a Llama whose MLP has no gate and squares what is above 0.

use super::{Family, llama};
use crate::layer::Gate;
use crate::values::Activation;

pub(super) const FAMILY: Family = Family {
    architecture: "ArceeForCausalLM",
    max_position_embeddings: 4096,
    bos_token_id: &[128_000],
    eos_token_id: &[128_001],
    activation: ("hidden_act", Activation::Relu2),
    norm_eps: ("rms_norm_eps", 1e-5),
    differs: |outline| outline.mlp.gate = Gate::None,
    ignored: &[],
    ..llama::FAMILY
};
