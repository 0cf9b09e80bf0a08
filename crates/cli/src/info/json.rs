//! The same as one JSON object.

use glass_config::{IgnoredField, LlamaConfig};
use serde_json::{Value, json};

use super::{Contents, Facts};

impl Facts {
    /// With everything that the text shows, and more.
    pub fn json(&self, config: &LlamaConfig, contents: &Contents, harmless: &[IgnoredField]) -> Value {
        let parts: serde_json::Map<_, _> =
            self.parameters.iter().map(|(part, n)| ((*part).to_owned(), json!(n))).collect();
        let caches: Vec<_> = self
            .caches
            .iter()
            .map(|(window, layers, token, full)| {
                json!({
                    "kind": if window.span().is_some() { "sliding_attention" } else { "full_attention" },
                    "window": window.span(),
                    "layers": layers,
                    "bytes_per_token": token,
                    "bytes_at_full_context": full,
                })
            })
            .collect();
        let tensors = contents.tensors.iter();
        let tensors: Vec<_> = tensors
            .map(|tensor| json!({ "name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape }))
            .collect();
        let keys: serde_json::Map<_, _> =
            contents.keys.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let unused = |fields: &[IgnoredField]| {
            let fields = fields.iter();
            fields
                .map(|field| json!({ "name": field.name, "value": field.value, "why": field.why }))
                .collect::<Vec<_>>()
        };
        json!({
            "model_type": config.model_type.to_string(),
            "config": config.to_json(),
            "parameters": self.total(),
            "active_parameters": config.active_parameters(),
            "parameters_by_part": parts,
            "dtype": self.precision.to_string(),
            "weight_bytes": self.weight_bytes,
            "quantized_bits": self.bits,
            "stored_bytes": contents.tensors.iter().map(|tensor| tensor.bytes).sum::<u64>(),
            "layers": super::layers::runs(config),
            "kv_cache": caches,
            "recurrent_state": { "layers": self.states.len(), "bytes": self.states.iter().sum::<u64>() },
            "reach": self.reach,
            "tensors": tensors,
            "keys": keys,
            "ignored_fields": unused(&config.ignored),
            "harmless_fields": unused(harmless),
        })
    }
}
