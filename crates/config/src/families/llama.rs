//! Llama: full attention in all layers; one switch for the biases of attention and one for the MLP's.

use serde_json::{Value, json};

use super::{Family, Plain};
use crate::error::Checked;
use crate::fields::{Fields, off};
use crate::layer::{AttentionBias, LayerConfig};
use crate::values::SWITCH;

pub(super) const FAMILY: Family = Family {
    architecture: "LlamaForCausalLM",
    num_key_value_heads: None,
    max_position_embeddings: 2048,
    bos_token_id: &[1],
    eos_token_id: &[2],
    layers,
    fields,
    ignored: &[(
        &["sliding_window", "use_sliding_window", "max_window_layers"],
        off,
        "llama never slides; set model_type=mistral for a window in every layer",
    )],
};

fn layers(fields: &mut Fields, mut plain: Plain) -> Checked<Vec<LayerConfig>> {
    let q_k_v = fields
        .optional("attention_bias", SWITCH, None)?
        .unwrap_or(false);
    plain.attention.bias = AttentionBias { q_k_v, o: q_k_v };
    plain.mlp.bias = fields.optional("mlp_bias", SWITCH, None)?.unwrap_or(false);
    let rule = "llama never slides; set layer_types to null, or model_type to mistral (all layers slide) or qwen2 (some)";
    plain.with_one_window(fields, None, rule)
}

fn fields(_: &[LayerConfig], plain: &Plain) -> Value {
    json!({ "attention_bias": plain.attention.bias.q_k_v, "mlp_bias": plain.mlp.bias })
}
