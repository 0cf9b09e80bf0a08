//! A config becomes JSON again, in transformers 5's dialect.

use serde_json::{Map, Value, json};

use crate::{LayerType, LlamaConfig, ModelType, RopeParameters, RopeType};

impl LlamaConfig {
    /// A `config.json` that transformers 5 loads and [`from_json`](Self::from_json) reads back to
    /// the same config, but for [`ignored`](Self::ignored), which is not written. Meant for a
    /// config that [`validate`](Self::validate) accepts: one with, say, mixed windows under
    /// `mistral` has no such file.
    pub fn to_json(&self) -> Value {
        let mut file = Map::new();
        let mut set = |name: &str, value: Value| file.insert(name.to_owned(), value);
        set("architectures", json!([self.model_type.architecture()]));
        set("attention_dropout", json!(self.attention_dropout));
        set("bos_token_id", json!(self.bos_token_id));
        set("dtype", json!(self.dtype.map(|dtype| dtype.to_string())));
        let eos = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [id] => json!(id),
            ids => json!(ids),
        };
        set("eos_token_id", eos);
        set("head_dim", json!(self.head_dim));
        set("hidden_act", json!(self.hidden_act.to_string()));
        set("hidden_size", json!(self.hidden_size));
        set("initializer_range", json!(self.initializer_range));
        set("intermediate_size", json!(self.intermediate_size));
        set(
            "max_position_embeddings",
            json!(self.max_position_embeddings),
        );
        set("model_type", json!(self.model_type.to_string()));
        set("num_attention_heads", json!(self.num_attention_heads));
        set("num_hidden_layers", json!(self.num_hidden_layers));
        set("num_key_value_heads", json!(self.num_key_value_heads));
        set("pad_token_id", json!(self.pad_token_id));
        if let Some(quantization) = &self.quantization_config {
            set("quantization_config", quantization.to_json());
        }
        set("rms_norm_eps", json!(self.rms_norm_eps));
        set("rope_parameters", self.rope_parameters.to_json());
        set("tie_word_embeddings", json!(self.tie_word_embeddings));
        set("use_cache", json!(true));
        set("vocab_size", json!(self.vocab_size));
        self.write_family(&mut file);
        Value::Object(file)
    }

    /// The fields in which the family's rule is written down.
    fn write_family(&self, file: &mut Map<String, Value>) {
        let mut set = |name: &str, value: Value| file.insert(name.to_owned(), value);
        let window = self.layer_types.iter().find_map(|layer| match layer {
            LayerType::Full => None,
            LayerType::Sliding { window } => Some(window.get()),
        });
        match self.model_type {
            ModelType::Llama => {
                set("attention_bias", json!(self.bias.q_k_v));
                set("mlp_bias", json!(self.bias.mlp));
            }
            ModelType::Mistral => {
                set("sliding_window", json!(window));
            }
            ModelType::Qwen2 => {
                let names = self.layer_types.iter().map(|layer| match layer {
                    LayerType::Full => LayerType::FULL,
                    LayerType::Sliding { .. } => LayerType::SLIDING,
                });
                set("layer_types", json!(names.collect::<Vec<_>>()));
                set("sliding_window", json!(window));
                set("use_sliding_window", json!(window.is_some()));
                // layer_types decides; this is for readers of version 4, who know no other rule.
                let leading_full = self
                    .layer_types
                    .iter()
                    .take_while(|&&layer| layer == LayerType::Full);
                set("max_window_layers", json!(leading_full.count()));
            }
        }
    }
}

impl RopeParameters {
    fn to_json(&self) -> Value {
        let mut value = match &self.rope_type {
            RopeType::Default => json!({}),
            RopeType::Linear { factor } | RopeType::Dynamic { factor } => {
                json!({ "factor": factor })
            }
            RopeType::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                attention_factor,
                mscale,
                mscale_all_dim,
                truncate,
            } => json!({
                "factor": factor,
                "original_max_position_embeddings": original_max_position_embeddings,
                "beta_fast": beta_fast,
                "beta_slow": beta_slow,
                "attention_factor": attention_factor,
                "mscale": mscale,
                "mscale_all_dim": mscale_all_dim,
                "truncate": truncate,
            }),
            RopeType::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
            RopeType::Longrope {
                short_factor,
                long_factor,
                factor,
                original_max_position_embeddings,
                attention_factor,
            } => json!({
                "short_factor": short_factor,
                "long_factor": long_factor,
                "factor": factor,
                "original_max_position_embeddings": original_max_position_embeddings,
                "attention_factor": attention_factor,
            }),
        };
        if let Value::Object(object) = &mut value {
            object.retain(|_, parameter| !parameter.is_null());
            object.insert("rope_theta".to_owned(), json!(self.rope_theta));
            object.insert("rope_type".to_owned(), json!(self.rope_type.name()));
        }
        value
    }
}
