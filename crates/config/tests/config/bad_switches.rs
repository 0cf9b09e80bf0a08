//! What does not fit in the families' own fields.

use serde_json::{Value, json};

use crate::common::{file, read};

/// The file is refused with this line, behind its name.
fn refused(family: &str, changes: Value, expected: &str) {
    let line = read(&file(family, changes.clone())).expect_err(&format!("{family} {changes}")).to_string();
    assert_eq!(line, format!("config.json: {expected}"));
}

#[test]
fn experts_that_do_not_add_up() {
    refused(
        "mixtral",
        json!({"num_experts_per_tok": 9}),
        "num_experts_per_tok = 9: must not exceed the number of experts, 8",
    );
    refused(
        "qwen3_moe",
        json!({"num_experts": 4}),
        "num_experts_per_tok = 8: must not exceed the number of experts, 4",
    );
    refused(
        "qwen2_moe",
        json!({"mlp_only_layers": [1, 4]}),
        "mlp_only_layers[1] = 4: must be a layer, a number below num_hidden_layers = 4",
    );
    refused(
        "gpt_oss",
        json!({"num_experts_per_tok": 0}),
        "num_experts_per_tok = 0: must be a whole number (without fraction or exponent) of at least 1",
    );
    refused(
        "mixtral",
        json!({"num_experts": 4, "num_local_experts": 8}),
        "num_local_experts = 8 contradicts num_experts = 4: keep the one that is meant",
    );
    refused(
        "qwen3",
        json!({"num_experts": 8}),
        "num_experts = 8 is not supported: the MLP of this family has no experts",
    );
}

#[test]
fn windows_that_do_not_fit() {
    refused(
        "gemma3_text",
        json!({"layer_types": ["sliding_attention", "full_attention"]}),
        "layer_types = 2 entries: must have one entry per layer, num_hidden_layers = 4",
    );
    refused(
        "exaone4",
        json!({"sliding_window_pattern": 0}),
        "sliding_window_pattern = 0: must be a whole number (without fraction or exponent) of at least 1",
    );
    let types = json!(["full_attention", "sliding_attention", "full_attention", "full_attention"]);
    refused(
        "cohere2",
        json!({"layer_types": types, "sliding_window": null}),
        "layer_types[1] = sliding_attention contradicts sliding_window = null: keep the one that is meant",
    );
    refused(
        "smollm3",
        json!({"layer_types": types, "sliding_window": 8}),
        "layer_types[1] = sliding_attention contradicts use_sliding_window = false: keep the one that is meant",
    );
    refused(
        "qwen3_moe",
        json!({"layer_types": types, "sliding_window": 8, "use_sliding_window": true}),
        "layer_types[0] = full_attention: every qwen3_moe layer slides while use_sliding_window is true",
    );
    refused(
        "olmo2",
        json!({"layer_types": types}),
        "layer_types[1] = sliding_attention: olmo2 never slides; set layer_types to null, or model_type to mistral \
         (all layers slide) or qwen2 (some)",
    );
    refused("smollm3", json!({"no_rope_layers": [1, 1, 2, 1]}), "no_rope_layers[2] = 2: must be 1 (rotated) or 0");
}

#[test]
fn rotations_that_the_family_does_not_have() {
    refused(
        "phi3",
        json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}),
        "rope_scaling.rope_type = \"yarn\": must be one of default, longrope",
    );
    refused(
        "stablelm",
        json!({"partial_rotary_factor": 0.3}),
        "partial_rotary_factor = 0.3: of 12 values of a head rotates 3, which must be an even number above 0",
    );
    refused(
        "ministral3",
        json!({"rope_parameters": {"rope_type": "default"}}),
        "rope_parameters.llama_4_scaling_beta is missing: queries are scaled by it and their position",
    );
    refused(
        "qwen3",
        json!({"rope_parameters": {"full_attention": {"rope_theta": 1.0}}}),
        "rope_parameters.full_attention = {\"rope_theta\":1.0} is not supported: all layers share one rotation in this \
         family",
    );
    refused(
        "gemma3_text",
        json!({"rope_parameters": {"full_attention": {"rope_type": "linear"}, "sliding_attention": {}}}),
        "rope_parameters.full_attention.factor is missing: rope_type linear needs it, the ratio of the new context length \
         to the trained one",
    );
    refused(
        "helium",
        json!({"head_dim": 16}),
        "head_dim = 16: must be hidden_size / num_attention_heads in helium, for heads are together 48 wide",
    );
}

#[test]
fn fields_of_other_families() {
    for (family, field, value) in [
        ("qwen3", "attn_logit_softcapping", json!(50.0)),
        ("llama", "residual_multiplier", json!(0.5)),
        ("gemma2", "qk_layernorm", json!(true)),
        ("granite", "final_logit_softcapping", json!(30.0)),
        ("gemma", "use_bidirectional_attention", json!(true)),
        ("olmo3", "clip_qkv", json!(8.0)),
    ] {
        let line = read(&file(family, json!({field: value}))).expect_err(family).to_string();
        let start = format!("config.json: {field} = {value} is not supported: ");
        assert!(line.starts_with(&start), "{line}");
    }
    let acts = "must be one of silu (or swish), gelu, gelu_pytorch_tanh (or gelu_new), relu, relu2, xielu";
    refused("nemotron", json!({"hidden_act": "mish"}), &format!("hidden_act = \"mish\": {acts}"));
    refused("gemma2", json!({"hidden_activation": "mish"}), &format!("hidden_activation = \"mish\": {acts}"));
}

/// The text of a model of text and images is what is read, and what errors name.
#[test]
fn text_beside_images() {
    let text = |changes: Value| {
        let mut text = file("gemma3_text", changes);
        text.as_object_mut().expect("an object").remove("model_type");
        json!({"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 8}, "eos_token_id": [1, 106]})
    };
    let config = read(&text(json!({}))).expect("a config");
    assert_eq!(config.model_type.to_string(), "gemma3_text");
    assert_eq!(config.eos_token_id, [1, 106]);
    assert_eq!(config.layers, read(&file("gemma3_text", json!({}))).expect("a config").layers);
    let line = read(&text(json!({"head_dim": 3}))).expect_err("odd").to_string();
    assert!(line.starts_with("config.json: text_config.head_dim = 3: must be even"), "{line}");
    let line = read(&file("gemma3", json!({}))).expect_err("no text").to_string();
    assert!(line.starts_with("config.json: model_type = \"gemma3\": must be one of "), "{line}");
}
