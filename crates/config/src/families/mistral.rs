//! Mistral: a window in all layers or in none; no biases.

use serde_json::{Value, json};

use super::{Family, Plain, fixed, sliding_window};
use crate::error::Checked;
use crate::fields::{Fields, none};
use crate::layer::LayerConfig;

pub(super) const FAMILY: Family = Family {
    architecture: "MistralForCausalLM",
    num_key_value_heads: Some(8),
    max_position_embeddings: 131_072,
    bos_token_id: &[1],
    eos_token_id: &[2],
    layers,
    fields,
    ignored: &[(
        &["use_sliding_window", "max_window_layers"],
        none,
        "mistral slides in all layers unless sliding_window is null",
    )],
};

fn layers(fields: &mut Fields, plain: Plain) -> Checked<Vec<LayerConfig>> {
    let why = "mistral's attention has no biases";
    fixed(fields, "attention_bias", false, why)?;
    fixed(fields, "mlp_bias", false, "mistral's MLP has no biases")?;
    let window = sliding_window(fields)?;
    let rule = match window {
        Some(window) => &format!(
            "every mistral layer slides while sliding_window is {window}; set one of the two to null"
        ),
        None => {
            "no mistral layer slides while sliding_window is null; give the window, or set layer_types to null"
        }
    };
    plain.with_one_window(fields, window, rule)
}

fn fields(_: &[LayerConfig], plain: &Plain) -> Value {
    json!({ "sliding_window": plain.attention.window })
}
