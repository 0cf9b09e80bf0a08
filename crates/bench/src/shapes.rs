//! Models that are measured without a checkpoint: shapes, to be filled with weights made on the fly.

use std::str::FromStr;

use thiserror::Error;

/// A shape with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// The text of a `config.json`.
    pub config: &'static str,
}

/// Llamas from the smallest to the largest, then other families.
pub const SHAPES: [Shape; 9] = [
    Shape {
        name: "llama-40M",
        about: "8 layers of width 512, a tied head: what a small machine measures in seconds",
        config: r#"{"model_type": "llama", "vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1408,
            "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4,
            "tie_word_embeddings": true, "max_position_embeddings": 131072}"#,
    },
    Shape {
        name: "llama-56M-window",
        about: "the same with its own head, and a sliding window of 256 in every layer",
        config: r#"{"model_type": "mistral", "vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1408,
            "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 256,
            "tie_word_embeddings": false, "max_position_embeddings": 131072}"#,
    },
    Shape {
        name: "smollm2-135M",
        about: "SmolLM2 135M: deep and narrow, a large vocabulary, a tied head",
        config: r#"{"model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "rope_theta": 100000,
            "tie_word_embeddings": true, "max_position_embeddings": 8192}"#,
    },
    Shape {
        name: "tinyllama-1.1B",
        about: "TinyLlama 1.1B: Llama 2's architecture with 8 queries to a key",
        config: r#"{"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632,
            "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4,
            "tie_word_embeddings": false, "max_position_embeddings": 2048}"#,
    },
    Shape {
        name: "mistral-window",
        about: "Mistral 7B v0.1: a sliding window of 4096 in every layer (28 GB in f32)",
        config: r#"{"model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "sliding_window": 4096,
            "tie_word_embeddings": false, "max_position_embeddings": 32768}"#,
    },
    Shape {
        name: "gemma3-270M",
        about: "Gemma 3 270M: windows of 512 in 15 of 18 layers, four norms in a layer, a vocabulary of 262,144",
        config: r#"{"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 640, "intermediate_size": 2048,
            "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1, "sliding_window": 512,
            "max_position_embeddings": 32768}"#,
    },
    Shape {
        name: "qwen3-0.6B",
        about: "Qwen3 0.6B: heads twice as wide together as the residual stream, normalised queries and keys",
        config: r#"{"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
            "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "rope_theta": 1000000,
            "tie_word_embeddings": true, "max_position_embeddings": 40960}"#,
    },
    Shape {
        name: "mixtral-tiny",
        about: "experts: 8 in each of 8 layers of width 512, of which a token passes 2",
        config: r#"{"model_type": "mixtral", "vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1408,
            "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4,
            "tie_word_embeddings": true, "max_position_embeddings": 131072}"#,
    },
    Shape {
        name: "smollm3-3B",
        about: "SmolLM3 3B: every fourth layer without RoPE (12 GB in f32)",
        config: r#"{"model_type": "smollm3", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 11008,
            "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4, "rope_theta": 5000000,
            "tie_word_embeddings": true, "max_position_embeddings": 65536}"#,
    },
];

/// A name that no shape has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no shape is called {name:?}{}: use {}", did_you_mean(name), names().join(", "))]
pub struct UnknownShape {
    pub name: String,
}

impl FromStr for Shape {
    type Err = UnknownShape;

    fn from_str(name: &str) -> Result<Self, UnknownShape> {
        let found = SHAPES.into_iter().find(|shape| shape.name == name);
        found.ok_or_else(|| UnknownShape { name: name.into() })
    }
}

fn names() -> [&'static str; SHAPES.len()] {
    SHAPES.map(|shape| shape.name)
}

/// People leave the size off: how a name begins counts most.
fn did_you_mean(name: &str) -> String {
    let near = |known: &str| strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
    let best = names().into_iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    best.filter(|best| near(best) > 0.85).map(|best| format!(" (did you mean {best}?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use glass_config::LlamaConfig;

    use super::*;

    #[test]
    fn shapes_are_as_large_as_their_names_say() {
        let millions = SHAPES.map(|shape| {
            let config = LlamaConfig::from_json(shape.config, shape.name, &[]).unwrap();
            assert!(config.ignored.is_empty(), "{}", shape.name);
            let mut layers = config.layers.iter().map(|layer| layer.attention());
            let slides = layers.all(|layer| layer.expect("attention").window.is_some());
            assert_eq!(slides, shape.name.ends_with("window"), "{}", shape.name);
            (config.num_parameters() + 500_000) / 1_000_000
        });
        // All but the first two and `mixtral-tiny` are the published models' own counts.
        assert_eq!(millions, [40, 56, 135, 1100, 7242, 268, 596, 161, 3075]);
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        for shape in SHAPES {
            assert_eq!(shape.name.parse(), Ok(shape));
        }
        let told = |name: &str| name.parse::<Shape>().unwrap_err().to_string();
        let all = "use llama-40M, llama-56M-window, smollm2-135M, tinyllama-1.1B, mistral-window, gemma3-270M, qwen3-0.6B, \
                   mixtral-tiny, smollm3-3B";
        assert_eq!(told("gpt"), format!("no shape is called \"gpt\": {all}"));
        assert_eq!(
            told("tinyllama"),
            format!("no shape is called \"tinyllama\" (did you mean tinyllama-1.1B?): {all}")
        );
        assert!(told("SMOLLM2-135m").contains("did you mean smollm2-135M?"));
        assert!(told("").contains(all));
    }
}
