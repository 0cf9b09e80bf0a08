//! EXAONE 3: a Llama under other names. It is no part of transformers; its own code (`modeling_exaone.py` in its
//! repositories) is the reference.

use super::field::Field::Idle;
use super::{Family, llama, windows};
use crate::names::TensorName::Named;

pub(super) const FAMILY: Family = Family {
    architecture: "ExaoneForCausalLM",
    renamed: &[("num_layers", "num_hidden_layers")],
    bos_token_id: &[0],
    activation: ("activation_function", llama::FAMILY.activation.1),
    norm_eps: ("layer_norm_epsilon", 1e-5),
    fields: &[windows::NEVER, Idle(&["embed_dropout"], "it has no part in running a model")],
    names: &[
        Named("model.embed_tokens", "transformer.wte"),
        Named("model.layers", "transformer.h"),
        Named("model.norm", "transformer.ln_f"),
        Named("input_layernorm", "ln_1"),
        Named("post_attention_layernorm", "ln_2"),
        Named("self_attn.o_proj", "attn.attention.out_proj"),
        Named("self_attn", "attn.attention"),
        Named("mlp.gate_proj", "mlp.c_fc_0"),
        Named("mlp.up_proj", "mlp.c_fc_1"),
        Named("mlp.down_proj", "mlp.c_proj"),
    ],
    ..llama::FAMILY
};
