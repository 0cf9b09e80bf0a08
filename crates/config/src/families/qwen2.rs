//! Qwen2: biases on q, k and v; under `use_sliding_window`, a window in the layers that `layer_types` names, or
//! without it in the layers from `max_window_layers` on.

use serde_json::{Value, json};

use super::{Family, Plain, fixed, layer_type, layer_types, sliding_window};
use crate::error::{Checked, FieldError};
use crate::fields::Fields;
use crate::layer::LayerConfig;
use crate::values::{COUNT, SWITCH};

pub(super) const FAMILY: Family = Family {
    architecture: "Qwen2ForCausalLM",
    num_key_value_heads: Some(32),
    max_position_embeddings: 32_768,
    bos_token_id: &[],
    eos_token_id: &[],
    layers,
    fields,
    ignored: &[],
};

fn layers(fields: &mut Fields, mut plain: Plain) -> Checked<Vec<LayerConfig>> {
    let why = "qwen2's attention always has biases on q, k and v";
    fixed(fields, "attention_bias", true, why)?;
    fixed(fields, "mlp_bias", false, "qwen2's MLP has no biases")?;
    plain.attention.bias.q_k_v = true;

    let kinds = layer_types(fields, plain.layers)?;
    let slides = fields.get("use_sliding_window", SWITCH, false)?;
    let full_layers = fields.get("max_window_layers", COUNT, 28)?;
    let window = if slides {
        sliding_window(fields)?
    } else {
        // Checked although it is unused; zero is wrong only where it is used.
        fields.optional("sliding_window", COUNT, None)?;
        None
    };
    let is_sliding = |i: usize| match &kinds {
        Some(kinds) => kinds[i],
        None => window.is_some() && i >= full_layers,
    };
    let layers = 0..plain.layers;
    let first = layers.clone().find(|&i| is_sliding(i));

    if slides && kinds.is_some() {
        let why = "layer_types decides which layers slide; set layer_types=null too";
        fields.idle(&["max_window_layers"], false, why);
    }
    // The field that keeps layers from sliding; the others have no say then.
    let switch = if !slides {
        Some(("use_sliding_window", "false".to_owned()))
    } else if window.is_none() {
        Some(("sliding_window", "null".to_owned()))
    } else if first.is_some() {
        None
    } else if kinds.is_some() {
        Some(("layer_types", "full_attention everywhere".to_owned()))
    } else {
        Some(("max_window_layers", full_layers.to_string()))
    };
    if let Some((switch, value)) = switch {
        if let Some(i) = first {
            let layer = format!("layer_types[{i}]");
            let sliding = (layer.as_str(), layer_type(true));
            return Err(FieldError::contradiction(sliding, (switch, value)));
        }
        let mut others = vec!["use_sliding_window", "sliding_window", "max_window_layers"];
        others.retain(|name| *name != switch);
        let why = format!("no layer slides while {switch} is {value}; change that too");
        fields.idle(&others, false, &why);
    }
    Ok(plain.with_windows(layers.map(|i| window.filter(|_| is_sliding(i)))))
}

fn fields(layers: &[LayerConfig], _: &Plain) -> Value {
    let windows = || layers.iter().map(|layer| layer.attention()?.window);
    let kinds = windows().map(|window| layer_type(window.is_some()));
    let window = windows().flatten().next();
    json!({
        "layer_types": kinds.collect::<Vec<_>>(),
        "sliding_window": window,
        "use_sliding_window": window.is_some(),
        // layer_types decides; this is for readers of version 4, who know no other rule.
        "max_window_layers": windows().take_while(Option::is_none).count(),
    })
}
