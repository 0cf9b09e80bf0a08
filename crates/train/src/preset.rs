//! Shapes of models, by name.

use glass_config::LlamaConfig;
use serde_json::{Value, json};

use crate::TrainError;

/// A shape. The tokenizer decides the vocabulary, the recipe the context.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    pub about: &'static str,
    /// Fields of its `config.json`. Positions are those that it admits at least.
    fields: fn() -> Value,
    /// Of every layer, in place of full attention.
    sliding_window: Option<usize>,
}

/// Positions of presets with a window: they only see distances below the window, so they can read texts longer than their
/// training context.
const WINDOWED_POSITIONS: usize = 131_072;

const TINY: Preset = Preset {
    name: "tiny",
    about: "0.1 M parameters, to try things out",
    fields: || {
        json!({"model_type": "llama", "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1, "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}})
    },
    sliding_window: None,
};

const SMALL: Preset = Preset {
    name: "small",
    about: "2.9 M parameters at 66 tokens: an hour or two on a CPU core",
    fields: || {
        json!({"model_type": "llama", "hidden_size": 256, "intermediate_size": 672, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1, "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}})
    },
    sliding_window: None,
};

/// All presets. `intermediate_size` of a Llama is 8/3 of `hidden_size`, rounded to a multiple of 32, so that the MLP's three
/// matrices are as large as the two of a plain MLP with `4 * hidden_size`: Shazeer 2020, arXiv:2002.05202. Shapes beyond
/// attention have the parameters of `tiny`, to a hundredth.
pub const PRESETS: [Preset; 8] = [
    TINY,
    Preset { name: "tiny-window", about: "the same with a window of 32", sliding_window: Some(32), ..TINY },
    Preset {
        name: "tiny-mamba",
        about: "as large, of selective state spaces alone",
        fields: || {
            json!({"model_type": "mamba", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3,
            "state_size": 6, "expand": 2, "conv_kernel": 4, "time_step_rank": 4, "use_bias": false, "use_conv_bias": true,
            "layer_norm_epsilon": 1e-5, "hidden_act": "silu"})
        },
        sliding_window: None,
    },
    Preset {
        name: "tiny-samba",
        about: "as large, a selective state space and a window of 32 in turn",
        fields: || {
            json!({"model_type": "samba", "hidden_size": 64, "intermediate_size": 116, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 32, "state_size": 8, "expand": 2,
            "conv_kernel": 4, "time_step_rank": 4, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}})
        },
        sliding_window: None,
    },
    Preset {
        name: "tiny-retnet",
        about: "as large, of retention",
        fields: || {
            json!({"model_type": "retnet", "decoder_embed_dim": 64, "decoder_value_embed_dim": 128,
            "decoder_retention_heads": 4, "decoder_ffn_embed_dim": 54, "decoder_layers": 2, "activation_fn": "swish",
            "layernorm_eps": 1e-5, "max_target_positions": 131072, "share_decoder_input_output_embed": true})
        },
        sliding_window: None,
    },
    SMALL,
    Preset { name: "small-window", about: "the same with a window of 64", sliding_window: Some(64), ..SMALL },
    Preset {
        name: "stories-15M",
        about: "6 M parameters and the vocabulary's: the shape of the smallest model of llama2.c, for a GPU",
        fields: || {
            json!({"model_type": "llama", "hidden_size": 288, "intermediate_size": 768, "num_hidden_layers": 6,
            "num_attention_heads": 6, "num_key_value_heads": 6, "max_position_embeddings": 1, "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}})
        },
        sliding_window: None,
    },
];

/// The config of the preset of this name.
///
/// # Errors
/// [`TrainError::Preset`]: there is no such preset.
pub fn preset(name: &str, vocab_size: usize, context: usize) -> Result<LlamaConfig, TrainError> {
    let preset = PRESETS.iter().find(|preset| preset.name == name);
    let preset = preset.ok_or_else(|| TrainError::Preset {
        name: name.to_owned(),
        known: PRESETS.map(|preset| preset.name).join(", "),
    })?;
    let origin = format!("preset {name}");
    let Value::Object(mut fields) = (preset.fields)() else { unreachable!("fields are an object") };
    if let Some(window) = preset.sliding_window {
        fields.insert("model_type".into(), "mistral".into());
        fields.insert("sliding_window".into(), window.into());
        fields.insert("max_position_embeddings".into(), WINDOWED_POSITIONS.into());
    }
    for positions in ["max_position_embeddings", "max_target_positions"] {
        if let Some(admitted) = fields.get_mut(positions) {
            *admitted = admitted.as_u64().unwrap_or(0).max(context as u64).into();
        }
    }
    for (field, value) in [
        ("vocab_size", vocab_size.into()),
        ("tie_word_embeddings", true.into()),
        ("bos_token_id", Value::Null),
        ("eos_token_id", Value::Null),
        ("dtype", "float32".into()),
    ] {
        fields.insert(field.into(), value);
    }
    LlamaConfig::from_json(&Value::from(fields).to_string(), &origin, &[]).map_err(TrainError::from)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn presets_are_configs_without_ignored_fields() {
        for Preset { name, sliding_window, .. } in PRESETS {
            let config = preset(name, 65, 256).unwrap();
            assert_eq!(config.ignored, vec![], "{name}");
            assert_eq!(config.vocab_size, 65);
            let windows = config.layers.iter().filter_map(|layer| layer.attention()).map(|attention| attention.window);
            if let Some(window) = sliding_window {
                assert!(windows.clone().all(|of_layer| of_layer.map(NonZeroUsize::get) == Some(window)), "{name}");
            }
            let reads_all = config.layers.iter().all(|layer| layer.attention().is_some_and(|it| it.window.is_none()));
            assert_eq!(config.max_position_embeddings == 256, reads_all, "{name}");
            assert!(config.context() >= 256, "{name}");
        }
        let error = preset("huge", 65, 256).unwrap_err().to_string();
        assert!(error.contains("huge") && error.contains("small-window"), "{error}");
    }

    #[test]
    fn tiny_presets_are_equally_large() {
        let size = |name: &str| preset(name, 66, 256).unwrap().num_parameters() as f64;
        for preset in PRESETS.iter().filter(|preset| preset.name.starts_with("tiny")) {
            assert!((size(preset.name) / size("tiny") - 1.0).abs() < 0.01, "{}: {}", preset.name, size(preset.name));
        }
    }
}
