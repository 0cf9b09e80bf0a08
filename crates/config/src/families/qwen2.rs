//! Qwen2: biases on q, k and v; under `use_sliding_window`, a window in the layers that `layer_types` names, or
//! without it in the layers from `max_window_layers` on.

use serde_json::{Value, json};

use super::family::{Family, LayerKind, Plain, fixed, layer_kinds, sliding_window};
use crate::error::FieldError;
use crate::fields::Fields;
use crate::layer::LayerConfig;

pub(crate) const FAMILY: Family = Family {
    architecture: "Qwen2ForCausalLM",
    num_key_value_heads: Some(32),
    max_position_embeddings: 32_768,
    bos_token_id: None,
    eos_token_id: &[],
    layers,
    fields,
    ignored: &[],
};

fn layers(fields: &mut Fields, mut plain: Plain) -> Result<Vec<LayerConfig>, FieldError> {
    let why = "qwen2's attention always has biases on q, k and v";
    fixed(fields, "attention_bias", true, why)?;
    fixed(fields, "mlp_bias", false, "qwen2's MLP has no biases")?;
    plain.attention.bias.q_k_v = true;

    let count = plain.layers;
    let kinds = layer_kinds(fields, count)?;
    let slides = fields.get("use_sliding_window", false)?;
    let full_layers = fields.get("max_window_layers", 28)?;
    let window = if slides {
        sliding_window(fields)?
    } else {
        // A file may not carry nonsense in it, and zero is only nonsense where it is used.
        fields.get::<Option<usize>>("sliding_window", None)?;
        None
    };
    let is_sliding = |i: usize| match &kinds {
        Some(kinds) => kinds[i] == LayerKind::Sliding,
        None => window.is_some() && i >= full_layers,
    };
    let first = (0..count).find(|&i| is_sliding(i));

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
            let sliding = (layer.as_str(), LayerKind::Sliding);
            return Err(FieldError::contradiction(sliding, (switch, value)));
        }
        let mut others = vec!["use_sliding_window", "sliding_window", "max_window_layers"];
        others.retain(|name| *name != switch);
        let why = format!("no layer slides while {switch} is {value}; change that too");
        fields.idle(&others, false, &why);
    }
    Ok(plain.with_windows((0..count).map(|i| window.filter(|_| is_sliding(i)))))
}

fn fields(_: &Plain, layers: &[LayerConfig]) -> Value {
    let windows = || layers.iter().map(|layer| layer.attention()?.window);
    let kinds = windows().map(|window| LayerKind::of(window).to_string());
    let window = windows().flatten().next();
    json!({
        "layer_types": kinds.collect::<Vec<_>>(),
        "sliding_window": window,
        "use_sliding_window": window.is_some(),
        // layer_types decides; this is for readers of version 4, who know no other rule.
        "max_window_layers": windows().take_while(Option::is_none).count(),
    })
}
