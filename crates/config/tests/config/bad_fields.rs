//! Fields of the wrong type or size.

use glass_config::LlamaConfig;
use serde_json::json;

use crate::common::{FAMILIES, check, minimal, read};

#[test]
fn sizes() {
    let big = 1u64 << 62;
    let size =
        |field: &str| format!("{field} = 0: must be a whole number (without fraction or exponent) of at least 1");
    check(
        "llama",
        &[
            (json!({"vocab_size": 0}), &size("vocab_size")),
            (json!({"hidden_size": 0, "head_dim": 4}), &size("hidden_size")),
            (json!({"intermediate_size": 0}), &size("intermediate_size")),
            (json!({"max_position_embeddings": 0}), &size("max_position_embeddings")),
            (json!({"num_key_value_heads": 0}), &size("num_key_value_heads")),
            (json!({"head_dim": 0}), &size("head_dim")),
            (json!({"num_hidden_layers": 0}), "num_hidden_layers = 0: must be a whole number from 1 to 65536"),
            (
                json!({"num_hidden_layers": big}),
                "num_hidden_layers = 4611686018427387904: must be a whole number from 1 to 65536",
            ),
            (json!({"num_attention_heads": 0}), &size("num_attention_heads")),
            (
                json!({"num_attention_heads": 5}),
                "num_attention_heads = 5: must divide hidden_size (48) where head_dim is not given",
            ),
            (
                json!({"num_key_value_heads": 3}),
                "num_key_value_heads = 3: must divide num_attention_heads (4), for each serves equally many query heads",
            ),
            (
                json!({"num_key_value_heads": 8}),
                "num_key_value_heads = 8: must divide num_attention_heads (4), for each serves equally many query heads",
            ),
            (json!({"head_dim": 7}), "head_dim = 7: must be even, for the rotation pairs the halves of a head"),
            (
                json!({"vocab_size": big}),
                "vocab_size * hidden_size = 4611686018427387904 * 48: is too large for memory; is a size mistyped?",
            ),
            (
                json!({"intermediate_size": big}),
                "intermediate_size * hidden_size = 4611686018427387904 * 48: is too large for memory; is a size mistyped?",
            ),
            (
                json!({"head_dim": big}),
                "num_attention_heads * head_dim = 4 * 4611686018427387904: is too large for memory; is a size mistyped?",
            ),
            (
                json!({"max_position_embeddings": big}),
                "max_position_embeddings * head_dim = 4611686018427387904 * 12: is too large for memory; is a size \
                 mistyped?",
            ),
            (
                json!({"intermediate_size": 1u64 << 52, "num_hidden_layers": 65536}),
                "the number of parameters = overflow: is too large for memory; is a size mistyped?",
            ),
        ],
    );
}

#[test]
fn types() {
    let size = "must be a whole number (without fraction or exponent) of at least 1";
    let id = "must be a token id, a whole number below 2^32";
    let other = "remove the field to get its default";
    check(
        "llama",
        &[
            (json!({"vocab_size": "128"}), &format!("vocab_size = \"128\": {size}")),
            (json!({"vocab_size": -1}), &format!("vocab_size = -1: {size}")),
            (json!({"vocab_size": 1.5}), &format!("vocab_size = 1.5: {size}")),
            (json!({"vocab_size": 128.0}), &format!("vocab_size = 128.0: {size}")),
            (json!({"vocab_size": 1e30}), &format!("vocab_size = 1e+30: {size}")),
            (json!({"vocab_size": [1]}), &format!("vocab_size = [1]: {size}")),
            (json!({"max_position_embeddings": null}), &format!("max_position_embeddings = null: {size}; {other}")),
            (json!({"rms_norm_eps": true}), "rms_norm_eps = true: must be a finite number above 0"),
            (json!({"rms_norm_eps": {"__float__": "NaN"}}), "rms_norm_eps = NaN: must be a finite number above 0"),
            (json!({"tie_word_embeddings": 1}), "tie_word_embeddings = 1: must be true or false"),
            (json!({"attention_bias": "yes"}), "attention_bias = \"yes\": must be true or false"),
            (json!({"model_type": 3}), &format!("model_type = 3: must be one of {FAMILIES}")),
            (
                json!({"hidden_act": null}),
                &format!(
                    "hidden_act = null: must be one of silu (or swish), gelu, gelu_pytorch_tanh (or gelu_new), relu, relu2, xielu; {other}"
                ),
            ),
            (
                json!({"hidden_act": "mish"}),
                "hidden_act = \"mish\": must be one of silu (or swish), gelu, gelu_pytorch_tanh (or gelu_new), relu, relu2, xielu",
            ),
            (json!({"bos_token_id": "1"}), &format!("bos_token_id = \"1\": {id}")),
            (json!({"bos_token_id": [1]}), &format!("bos_token_id = [1]: {id}")),
            (json!({"bos_token_id": 1.5}), &format!("bos_token_id = 1.5: {id}")),
            (json!({"bos_token_id": 5_000_000_000u64}), &format!("bos_token_id = 5000000000: {id}")),
            (json!({"eos_token_id": [1, "x"]}), &format!("eos_token_id[1] = \"x\": {id}")),
            (json!({"layer_types": "full_attention"}), "layer_types = \"full_attention\": must be a list"),
            (json!({"layer_types": [1]}), "layer_types[0] = 1: must be full_attention or sliding_attention"),
        ],
    );
}

#[test]
fn numbers() {
    check(
        "llama",
        &[
            (json!({"rms_norm_eps": 0}), "rms_norm_eps = 0: must be a finite number above 0"),
            (json!({"rms_norm_eps": -1e-5}), "rms_norm_eps = -0.00001: must be a finite number above 0"),
        ],
    );
    // What JSON cannot hold, code can; it would be written as null.
    let valid = read(&minimal("llama")).unwrap();
    for eps in [f64::NAN, f64::INFINITY] {
        let mut config = valid.clone();
        config.norm.eps = eps;
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "rms_norm_eps = null: must be a finite number above 0; remove the field to get its default",
            "{eps}"
        );
    }
    // No say in running a model, and one in training it.
    for (initializer_range, attention_dropout, rule) in [
        (-1.0, 0.0, "initializer_range = -1.0: must be a number that is not negative"),
        (f64::NAN, 0.0, "initializer_range = null: must be a number that is not negative"),
        (0.02, 1.0, "attention_dropout = 1.0: must be a probability from 0 to below 1"),
        (0.02, -0.1, "attention_dropout = -0.1: must be a probability from 0 to below 1"),
    ] {
        let config = LlamaConfig { initializer_range, attention_dropout, ..valid.clone() };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with(rule), "{error}");
    }
}
