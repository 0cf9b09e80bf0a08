//! What a family does not have.

use std::num::NonZeroUsize;

use glass_config::{AttentionConfig, LayerConfig, LlamaConfig, MixerConfig, ModelType};
use serde_json::json;

use crate::common::{check, file, minimal, read};

#[test]
fn windows() {
    let list = |slides: [bool; 4]| slides.map(|s| if s { "sliding_attention" } else { "full_attention" });
    let mixed = list([true, false, true, false]);
    let zero = "sliding_window = 0: must be a whole number of at least 1, for a query always sees its own key; null means no window";
    check(
        "llama",
        &[
            (
                json!({"layer_types": mixed}),
                "layer_types[0] = sliding_attention: llama never slides; \
                 set layer_types to null, or model_type to mistral (all layers slide) or qwen2 (some)",
            ),
            (
                json!({"layer_types": ["full_attention"]}),
                "layer_types = 1 entries: must have one entry per layer, num_hidden_layers = 4",
            ),
            (
                json!({"layer_types": ["full_attention", "full_attention", "linear_attention", "full_attention"]}),
                "layer_types[2] = \"linear_attention\": must be full_attention or sliding_attention",
            ),
        ],
    );
    check(
        "mistral",
        &[
            (json!({"sliding_window": 0}), zero),
            (
                json!({"sliding_window": -1}),
                "sliding_window = -1: must be a whole number of at least 1, for a query always sees its own key; null means no window",
            ),
            (
                json!({"sliding_window": 8, "layer_types": mixed}),
                "layer_types[1] = full_attention: every mistral layer \
                 slides while sliding_window is 8; set one of the two to null",
            ),
            (
                json!({"sliding_window": null, "layer_types": mixed}),
                "layer_types[0] = sliding_attention: no mistral layer \
                 slides while sliding_window is null; give the window, or set layer_types to null",
            ),
        ],
    );
    check(
        "qwen2",
        &[
            (json!({"use_sliding_window": true, "sliding_window": 0}), zero),
            (
                json!({"sliding_window": "8"}),
                "sliding_window = \"8\": must be a whole number (without fraction or exponent) of at least 0",
            ),
            (
                json!({"layer_types": mixed}),
                "layer_types[0] = sliding_attention contradicts use_sliding_window = false: keep the one that is meant",
            ),
            (
                json!({"layer_types": mixed, "use_sliding_window": true, "sliding_window": null}),
                "layer_types[0] = sliding_attention contradicts sliding_window = null: keep the one that is meant",
            ),
        ],
    );
}

#[test]
fn biases_that_the_family_does_not_have() {
    let escape = "set it to null to follow the family, or correct model_type";
    check(
        "mistral",
        &[
            (
                json!({"attention_bias": true}),
                &format!("attention_bias = true is not supported: mistral's attention has no biases; {escape}"),
            ),
            (
                json!({"mlp_bias": true}),
                &format!("mlp_bias = true is not supported: mistral's MLP has no biases; {escape}"),
            ),
        ],
    );
    check(
        "qwen2",
        &[(
            json!({"attention_bias": false}),
            &format!(
                "attention_bias = false is not supported: qwen2's attention always has biases on q, k and v; {escape}"
            ),
        )],
    );
}

#[test]
fn fields_that_would_change_the_result() {
    let fields = [
        json!({"partial_rotary_factor": 0.5}),
        json!({"rope_interleaved": true}),
        json!({"attn_logit_softcapping": 50.0}),
        json!({"final_logit_softcapping": 30.0}),
        json!({"logit_scale": 0.0625}),
        json!({"logits_scaling": 8}),
        json!({"embedding_multiplier": 12}),
        json!({"residual_multiplier": 0.22}),
        json!({"attention_multiplier": 0.0078125}),
        json!({"query_pre_attn_scalar": 256}),
        json!({"use_qk_norm": true}),
        json!({"clip_qkv": 8.0}),
        json!({"num_local_experts": 8}),
        json!({"num_experts": 60}),
        json!({"no_rope_layers": [1, 1, 1, 0]}),
        json!({"attention_chunk_size": 8192}),
        json!({"is_encoder_decoder": true}),
        json!({"add_cross_attention": true}),
        json!({"pruned_heads": {"0": [1]}}),
        json!({"rope_local_base_freq": 10000}),
        json!({"sliding_window_pattern": 6}),
        json!({"position_embedding_type": "absolute"}),
        json!({"hidden_activation": "gelu"}),
        json!({"qkv_bias": true}),
        json!({"vision_config": {}}),
        json!({"per_layer_config": {"0": {"head_dim": 8}}}),
        json!({"mlp_layer_types": ["dense", "sparse"]}),
    ];
    for field in fields {
        let (name, value) = field.as_object().unwrap().iter().next().unwrap();
        let line = read(&file("llama", field.clone())).unwrap_err().to_string();
        let start = format!("config.json: {name} = {value} is not supported: ");
        assert!(line.starts_with(&start), "{line}");
    }
    for (name, value) in [
        ("partial_rotary_factor", json!(0.25)),
        ("mrope_section", json!([2, 2, 2])),
        ("alpha", json!(1000.0)),
        ("full_attention", json!({"rope_type": "default"})),
    ] {
        let line = read(&file("llama", json!({"rope_scaling": {"type": "default", name: value}})));
        let start = format!("config.json: rope_scaling.{name} = {value} is not supported: ");
        assert!(line.as_ref().unwrap_err().to_string().starts_with(&start), "{line:?}");
    }
}

/// A config put together in code is held to the family's rules too.
#[test]
fn configs_by_hand() {
    let valid = read(&minimal("llama")).unwrap();
    assert_eq!(valid.validate(), Ok(()));
    let line = |change: &dyn Fn(&mut LlamaConfig)| {
        let mut config = valid.clone();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    let with_attention = |change: &dyn Fn(&mut AttentionConfig)| {
        line(&|config| {
            let LayerConfig { mixer, .. } = &mut config.layers[1];
            let MixerConfig::Attention(attention) = mixer else { panic!("no attention") };
            change(attention);
        })
    };
    let own = "no llama has it; its config.json could only say LayerConfig";
    for error in [
        with_attention(&|attention| attention.window = NonZeroUsize::new(8)),
        with_attention(&|attention| attention.bias.o = true),
        with_attention(&|attention| attention.num_attention_heads = 0),
        with_attention(&|attention| attention.rope = None),
        with_attention(&|attention| attention.scale = 1.0),
    ] {
        assert!(error.starts_with("layers[1] = LayerConfig {"), "{error}");
        assert!(error.contains(own), "{error}");
    }
    assert_eq!(line(&|config| config.layers.clear()), "num_hidden_layers = 0: must be a whole number from 1 to 65536");
    let error = line(&|config| config.model_type = ModelType::Qwen2);
    assert!(error.starts_with("layers[0] = LayerConfig {"), "{error}");
    assert!(error.contains("no qwen2 has it"), "{error}");
    let error = line(&|config| config.ropes.push(config.ropes[0].clone()));
    assert!(error.starts_with("ropes = [RopeParameters {"), "{error}");
}
