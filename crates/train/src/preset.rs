//! Shapes of models, by name.

use glass_config::LlamaConfig;
use serde_json::json;

use crate::TrainError;

/// A shape. The tokenizer decides the vocabulary, the recipe the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    pub about: &'static str,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    /// Of every layer; `None`: full attention.
    sliding_window: Option<usize>,
}

/// `max_position_embeddings` of presets with a window: they only see distances below the window, so they can read texts
/// longer than their training context.
const WINDOWED_POSITIONS: usize = 131_072;

const TINY: Preset = Preset {
    name: "tiny",
    about: "0.1 M parameters, to try things out",
    hidden_size: 64,
    intermediate_size: 160,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    sliding_window: None,
};

const SMALL: Preset = Preset {
    name: "small",
    about: "2.9 M parameters at 66 tokens: an hour or two on a CPU core",
    hidden_size: 256,
    intermediate_size: 672,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    sliding_window: None,
};

/// All presets. `intermediate_size` is 8/3 of `hidden_size`, rounded to a multiple of 32, so that the MLP's three matrices
/// are as large as the two of a plain MLP with `4 * hidden_size`: Shazeer 2020, arXiv:2002.05202.
pub const PRESETS: [Preset; 5] = [
    TINY,
    Preset {
        name: "tiny-window",
        about: "the same with a window of 32",
        sliding_window: Some(32),
        ..TINY
    },
    SMALL,
    Preset {
        name: "small-window",
        about: "the same with a window of 64",
        sliding_window: Some(64),
        ..SMALL
    },
    Preset {
        name: "stories-15M",
        about: "6 M parameters and the vocabulary's: the shape of the smallest model of llama2.c, for a GPU",
        hidden_size: 288,
        intermediate_size: 768,
        num_hidden_layers: 6,
        num_attention_heads: 6,
        num_key_value_heads: 6,
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
    let windowed = preset.sliding_window.is_some();
    let config = json!({
        "model_type": if windowed { "mistral" } else { "llama" },
        "vocab_size": vocab_size,
        "hidden_size": preset.hidden_size,
        "intermediate_size": preset.intermediate_size,
        "num_hidden_layers": preset.num_hidden_layers,
        "num_attention_heads": preset.num_attention_heads,
        "num_key_value_heads": preset.num_key_value_heads,
        "sliding_window": preset.sliding_window,
        "max_position_embeddings": if windowed { context.max(WINDOWED_POSITIONS) } else { context },
        "rms_norm_eps": 1e-5,
        "rope_parameters": { "rope_type": "default", "rope_theta": 10_000.0 },
        "tie_word_embeddings": true,
        "bos_token_id": null,
        "eos_token_id": null,
        "dtype": "float32",
    });
    let origin = format!("preset {name}");
    LlamaConfig::from_json(&config.to_string(), &origin, &[]).map_err(TrainError::from)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn presets_are_configs_without_ignored_fields() {
        for Preset {
            name,
            sliding_window,
            ..
        } in PRESETS
        {
            let config = preset(name, 65, 256).unwrap();
            assert_eq!(config.ignored, vec![], "{name}");
            assert_eq!(config.vocab_size, 65);
            for layer in &config.layers {
                let window = layer.attention().expect("attention").window;
                assert_eq!(window.map(NonZeroUsize::get), sliding_window, "{name}");
            }
            if sliding_window.is_none() {
                assert_eq!(config.max_position_embeddings, 256, "{name}");
            }
        }
        let error = preset("huge", 65, 256).unwrap_err().to_string();
        assert!(
            error.contains("huge") && error.contains("small-window"),
            "{error}"
        );
    }
}
