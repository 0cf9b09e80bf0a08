//! Which of candle's models computes what a `config.json` says, and an error where none does.

use std::{fs, path::Path};

use candle_transformers::models::{llama, mistral};
use serde_json::{Value, json};

use crate::error::PeerError;

/// `config.json` of a folder.
pub fn read(folder: &Path) -> Result<Value, PeerError> {
    let path = folder.join("config.json");
    match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| PeerError::Json { path, source })
        }
        Err(source) => Err(PeerError::File { path, source }),
    }
}

/// How many tokens there are.
pub fn vocabulary(config: &Value) -> Result<u32, PeerError> {
    let size = config["vocab_size"].as_u64().filter(|&size| size > 0);
    size.and_then(|size| size.try_into().ok())
        .ok_or_else(|| bad(config, "vocab_size", "a number of tokens is wanted"))
}

/// One of candle's models with its configuration.
#[derive(Debug)]
pub enum Shape {
    Llama(llama::Config),
    /// Candle's Mistral always reads `lm_head.weight`; if `tied`, it is given `model.embed_tokens.weight` instead.
    Mistral {
        config: mistral::Config,
        tied: bool,
    },
}

impl Shape {
    /// # Errors
    /// [`PeerError::Config`] on a field that candle would pass over although it changes the result.
    pub fn of(mut config: Value) -> Result<Self, PeerError> {
        let mistral = match config["model_type"].as_str() {
            Some("llama") => false,
            Some("mistral") => true,
            _ => {
                return Err(bad(
                    &config,
                    "model_type",
                    "and only llama and mistral are compared",
                ));
            }
        };
        for field in ["attention_bias", "mlp_bias"] {
            if config[field] == true {
                return Err(bad(&config, field, "and candle has no biases"));
            }
        }
        let activation = &config["hidden_act"];
        if !activation.is_null() && activation != "silu" {
            return Err(bad(
                &config,
                "hidden_act",
                "and candle's Llama has only silu",
            ));
        }
        one_place_for_rope(&mut config)?;
        let windowed = mistral && !config["sliding_window"].is_null();
        // Candle's Llama takes the width of a head from the hidden size and the number of heads.
        let own_head_dim = config["head_dim"].as_u64().is_some_and(|head_dim| {
            let heads = config["num_attention_heads"].as_u64();
            heads.and_then(|heads| heads.checked_mul(head_dim)) != config["hidden_size"].as_u64()
        });
        // A Mistral without a window is a Llama, and candle's Llama holds tied weights once.
        if !windowed && !own_head_dim {
            let llama: llama::LlamaConfig = typed(config)?;
            return Ok(Shape::Llama(llama.into_config(false)));
        }
        if !config["rope_scaling"].is_null() {
            return Err(bad(
                &config,
                "rope_scaling",
                "which candle's Mistral does not know",
            ));
        }
        let tied = config["tie_word_embeddings"] == true;
        let config = typed(config)?;
        Ok(Shape::Mistral { config, tied })
    }
}

/// Where newer files have `rope_parameters`, candle reads `rope_theta` and `rope_scaling`.
fn one_place_for_rope(config: &mut Value) -> Result<(), PeerError> {
    let parameters = config["rope_parameters"].take();
    if !parameters.is_null() {
        config["rope_theta"] = parameters["rope_theta"].clone();
        config["rope_scaling"] = parameters;
    }
    let scaling = &config["rope_scaling"];
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"));
    match kind.and_then(Value::as_str) {
        None | Some("default") => config["rope_scaling"] = Value::Null,
        Some("llama3") => {}
        Some(_) => {
            return Err(bad(
                config,
                "rope_scaling",
                "and candle has only default and llama3",
            ));
        }
    }
    if config["rope_theta"].is_null() {
        config["rope_theta"] = json!(10000.0);
    }
    Ok(())
}

fn typed<T: serde::de::DeserializeOwned>(config: Value) -> Result<T, PeerError> {
    serde_json::from_value(config).map_err(|source| PeerError::Json {
        path: "config.json, as candle reads it".into(),
        source,
    })
}

fn bad(config: &Value, field: &'static str, why: &'static str) -> PeerError {
    let value = config[field].to_string();
    PeerError::Config { field, value, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: Value) -> Value {
        let mut config = json!({
            "model_type": "mistral", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
            "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
            "rope_theta": 500.0, "sliding_window": null, "tie_word_embeddings": true,
            "bos_token_id": 1, "eos_token_id": 2,
        });
        for (field, value) in changes.as_object().unwrap() {
            config[field] = value.clone();
        }
        config
    }

    fn shape(changes: Value) -> Result<Shape, PeerError> {
        Shape::of(config(changes))
    }

    #[test]
    fn the_window_and_the_heads_decide_which_model_it_is() {
        let Shape::Llama(llama) = shape(json!({})).unwrap() else {
            panic!("no window: a Llama")
        };
        assert!(llama.tie_word_embeddings);
        assert_eq!(llama.rope_theta, 500.0);
        let windowed = shape(json!({"sliding_window": 8})).unwrap();
        assert!(
            matches!(windowed, Shape::Mistral { config, tied: true } if config.sliding_window == Some(8))
        );
        let wide = shape(json!({"head_dim": 32, "tie_word_embeddings": false})).unwrap();
        assert!(matches!(wide, Shape::Mistral { tied: false, .. }));
    }

    #[test]
    fn rope_is_found_in_both_places() {
        let parameters = json!({"rope_theta": null, "rope_parameters": {"rope_type": "llama3", "rope_theta": 7.0,
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}});
        let Shape::Llama(llama) = shape(parameters).unwrap() else {
            panic!("a Llama")
        };
        assert_eq!(llama.rope_theta, 7.0);
        assert_eq!(llama.rope_scaling.unwrap().factor, 8.0);
    }

    #[test]
    fn what_candle_would_pass_over_is_refused() {
        for (changes, field) in [
            (json!({"model_type": "gpt2"}), "model_type"),
            (json!({"attention_bias": true}), "attention_bias"),
            (json!({"hidden_act": "gelu"}), "hidden_act"),
            (
                json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
                "rope_scaling",
            ),
        ] {
            let error = shape(changes).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let error = shape(json!({"hidden_size": "wide"}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("as candle reads it"), "{error}");
    }

    #[test]
    fn a_vocabulary_is_a_number() {
        assert_eq!(vocabulary(&config(json!({}))).unwrap(), 100);
        for size in [json!(0), json!("many"), json!(1_u64 << 40), Value::Null] {
            assert!(vocabulary(&config(json!({"vocab_size": size}))).is_err());
        }
    }

    #[test]
    fn a_folder_without_config_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            read(folder.path())
                .unwrap_err()
                .to_string()
                .contains("config.json")
        );
        fs::write(folder.path().join("config.json"), "{").unwrap();
        assert!(matches!(read(folder.path()), Err(PeerError::Json { .. })));
    }
}
