//! A config becomes JSON again, in transformers 5's dialect.

use serde_json::{Value, json};

use crate::dual_chunk;
use crate::llama_config::LlamaConfig;
use crate::outline::Outline;
use crate::quantization::QuantizationConfig;

impl LlamaConfig {
    /// A `config.json` that transformers 5 loads and [`from_json`](Self::from_json) reads back to
    /// the same config, but for [`ignored`](Self::ignored), which is not written. Meant for a
    /// config that [`validate`](Self::validate) accepts: one with, say, mixed windows under
    /// `mistral` has no such file.
    pub fn to_json(&self) -> Value {
        let family = self.model_type.family();
        let outline = Outline::of(self);
        let eos = match self.eos_token_id.as_slice() {
            [] => Value::Null,
            [id] => json!(id),
            ids => json!(ids),
        };
        let mut file = json!({
            "architectures": [family.architecture],
            "attention_dropout": self.attention_dropout,
            "bos_token_id": self.bos_token_id,
            "dtype": self.dtype.map(|dtype| dtype.to_string()),
            "eos_token_id": eos,
            "head_dim": outline.attention.head_dim,
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": outline.mlp.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": self.model_type.to_string(),
            "num_attention_heads": outline.attention.num_attention_heads,
            "num_hidden_layers": self.layers.len(),
            "num_key_value_heads": outline.attention.num_key_value_heads,
            "pad_token_id": self.pad_token_id,
            "quantization_config": self.quantization_config.as_ref().map(QuantizationConfig::to_json),
            "rope_parameters": family.rope.write(&self.ropes, outline.attention.temperature),
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        if let Value::Object(file) = &mut file {
            file.insert(family.activation.0.to_owned(), json!(outline.mlp.hidden_act.to_string()));
            file.insert(family.norm_eps.0.to_owned(), json!(self.norm.eps));
            let of_attention =
                ["attention_dropout", "head_dim", "num_attention_heads", "num_key_value_heads", "rope_parameters"];
            for name in of_attention.iter().filter(|_| !family.attention) {
                file.shift_remove(*name);
            }
            if !family.rope.rotates() {
                file.shift_remove("rope_parameters");
            }
            if !family.mlp {
                file.shift_remove("intermediate_size");
            }
            for &(own, name) in family.renamed {
                if let Some(value) = file.shift_remove(name) {
                    file.insert(own.to_owned(), value);
                }
            }
            if let Some(dual) = outline.attention.dual_chunk {
                file.insert(dual_chunk::NAME.to_owned(), dual.write().into());
            }
            if self.quantization_config.is_none() {
                file.shift_remove("quantization_config");
            }
            for field in family.fields {
                if let Value::Object(own) = field.write(&outline) {
                    file.extend(own);
                }
            }
        }
        file
    }
}
