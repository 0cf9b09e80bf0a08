//! What the model type decides: biases, windows, and which fields mean nothing.

use crate::common::{attention, file, minimal, mlp, read, windows};
use glass_config::{AttentionBias, LlamaConfig, NormPlacement};
use serde_json::{Value, json};

const FULL: Option<usize> = None;

fn sliding(window: usize) -> Option<usize> {
    Some(window)
}

fn layers(family: &str, changes: Value) -> Vec<Option<usize>> {
    windows(&read(&file(family, changes)).unwrap())
}

#[test]
fn llama_never_slides() {
    assert_eq!(layers("llama", json!({})), [FULL; 4]);
    assert_eq!(layers("llama", json!({"layer_types": vec!["full_attention"; 4]})), [FULL; 4]);
    assert_eq!(layers("llama", json!({"sliding_window": 8})), [FULL; 4]);
}

#[test]
fn mistral_slides_everywhere_or_nowhere() {
    assert_eq!(layers("mistral", json!({})), [sliding(4096); 4]);
    assert_eq!(layers("mistral", json!({"sliding_window": null})), [FULL; 4]);
    assert_eq!(layers("mistral", json!({"sliding_window": 8})), [sliding(8); 4]);
    let stated = json!({"sliding_window": 8, "layer_types": vec!["sliding_attention"; 4]});
    assert_eq!(layers("mistral", stated), [sliding(8); 4]);
}

#[test]
fn qwen2_slides_where_it_is_told() {
    assert_eq!(layers("qwen2", json!({"sliding_window": 8, "max_window_layers": 0})), [FULL; 4]);
    assert_eq!(
        layers("qwen2", json!({"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 3})),
        [FULL, FULL, FULL, sliding(8)]
    );
    // The class defaults: a window of 4096 from layer 28 on.
    assert_eq!(layers("qwen2", json!({"use_sliding_window": true})), [FULL; 4]);
    assert_eq!(
        layers("qwen2", json!({"use_sliding_window": true, "max_window_layers": 2})),
        [FULL, FULL, sliding(4096), sliding(4096)]
    );
    // layer_types outranks max_window_layers.
    assert_eq!(
        layers(
            "qwen2",
            json!({"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 0, "layer_types":
                   ["sliding_attention", "full_attention", "sliding_attention", "attention"]})
        ),
        [sliding(8), FULL, sliding(8), FULL]
    );
    let none = json!({"use_sliding_window": true, "sliding_window": null, "max_window_layers": 0});
    assert_eq!(layers("qwen2", none), [FULL; 4]);
}

#[test]
fn biases() {
    // q, k and v; o; the MLP's.
    let bias = |family, changes| {
        let config = read(&file(family, changes)).unwrap();
        let AttentionBias { q_k_v, o } = attention(&config).bias;
        [q_k_v, o, mlp(&config).bias]
    };
    assert_eq!(bias("llama", json!({})), [false, false, false]);
    let attention_bias = json!({"attention_bias": true});
    assert_eq!(bias("llama", attention_bias), [true, true, false]);
    let mlp_bias = json!({"mlp_bias": true});
    assert_eq!(bias("llama", mlp_bias), [false, false, true]);
    let none = json!({"attention_bias": false, "mlp_bias": false});
    assert_eq!(bias("mistral", none), [false, false, false]);
    assert_eq!(bias("qwen2", json!({})), [true, false, false]);
    let own = json!({"attention_bias": true, "qkv_bias": true});
    assert_eq!(bias("qwen2", own), [true, false, false]);
}

/// All layers of these families are a plain Llama's but for windows and biases.
#[test]
fn every_layer_is_plain() {
    for family in ["llama", "mistral", "qwen2"] {
        let config = read(&minimal(family)).unwrap();
        assert_eq!((config.layers.len(), config.ropes.len()), (4, 1), "{family}");
        for layer in &config.layers {
            let attention = layer.attention().unwrap();
            assert_eq!(attention.rope, Some(0));
            assert_eq!(attention.scale, 12f64.powf(-0.5));
            assert_eq!((attention.soft_cap, attention.sinks, attention.qk_norm), (None, false, None));
            assert_eq!(layer.norms, NormPlacement::Pre);
        }
    }
}

fn ignored(config: &LlamaConfig) -> Vec<(&str, &str, &str)> {
    let fields = config.ignored.iter();
    fields.map(|field| (&*field.name, &*field.value, &*field.why)).collect()
}

#[test]
fn unused_fields_are_listed_with_a_reason() {
    let config = read(&file(
        "llama",
        json!({
            "sliding_window": 4096, "max_length": 4096, "ffn_dim_multiplier": 1.3, "pad_token_id": -1,
            "bos_token_id": -1,
            "rope_scaling": {"type": "linear", "factor": 2.0, "beta_fast": 32, "finetuned": true}
        }),
    ))
    .unwrap();
    assert_eq!(
        ignored(&config),
        [
            ("sliding_window", "4096", "llama never slides; set model_type=mistral for a window in every layer"),
            ("max_length", "4096", "a setting for generation, which belongs in generation_config.json"),
            ("ffn_dim_multiplier", "1.3", "llama has no such field"),
            ("bos_token_id", "-1", "no token has a negative id, so this stands for none"),
            ("rope_scaling.beta_fast", "32", "rope_type linear does not use it"),
            ("rope_scaling.finetuned", "true", "no rope_type uses it"),
        ]
    );
    assert_eq!(config.pad_token_id, None);
}

#[test]
fn harmless_fields_are_not_listed() {
    let config = read(&file(
        "qwen2",
        json!({
            "architectures": ["Qwen2ForCausalLM"], "transformers_version": "5.0.0", "use_cache": true,
            "pretraining_tp": 1, "_name_or_path": "x", "id2label": {"0": "a"}, "torchscript": false,
            "use_sliding_window": false, "sliding_window": 131072, "max_window_layers": 28,
            "something_new": null
        }),
    ))
    .unwrap();
    assert_eq!(ignored(&config), []);
}

/// A value that leaves the result as it is does no harm, whatever its field could mean.
#[test]
fn neutral_values_of_refused_fields_pass() {
    let config = read(&file(
        "llama",
        json!({
            "quantization_config": null, "partial_rotary_factor": 1.0, "rope_interleaved": false,
            "attn_logit_softcapping": null, "logit_scale": 1, "query_pre_attn_scalar": 12,
            "attention_multiplier": 0.2886751345948129, "use_qk_norm": false, "num_local_experts": 0,
            "no_rope_layers": [1, 1, 1, 1], "pruned_heads": {}, "is_encoder_decoder": false,
            "position_embedding_type": "rope", "hidden_activation": "silu", "qkv_bias": false,
            "mlp_layer_types": ["dense", "dense", "dense", "dense"],
            "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 1, "attn_factor": 1}
        }),
    ))
    .unwrap();
    assert_eq!(ignored(&config), []);
    assert_eq!(config, read(&minimal("llama")).unwrap());
}
