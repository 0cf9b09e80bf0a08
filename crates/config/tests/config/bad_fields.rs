//! Fields of the wrong type or size.

use glass_config::LlamaConfig;
use serde_json::json;

use crate::common::{check, minimal, read};

#[test]
fn sizes() {
    let big = 1u64 << 62;
    check(
        "llama",
        &[
            (
                json!({"vocab_size": 0}),
                "vocab_size = 0: must be at least 1",
            ),
            (
                json!({"hidden_size": 0, "head_dim": 4}),
                "hidden_size = 0: must be at least 1",
            ),
            (
                json!({"intermediate_size": 0}),
                "intermediate_size = 0: must be at least 1",
            ),
            (
                json!({"max_position_embeddings": 0}),
                "max_position_embeddings = 0: must be at least 1",
            ),
            (
                json!({"num_key_value_heads": 0}),
                "num_key_value_heads = 0: must be at least 1",
            ),
            (json!({"head_dim": 0}), "head_dim = 0: must be at least 1"),
            (
                json!({"num_hidden_layers": 0}),
                "num_hidden_layers = 0: must be from 1 to 65536",
            ),
            (
                json!({"num_hidden_layers": big}),
                "num_hidden_layers = 4611686018427387904: must be from 1 to 65536",
            ),
            (
                json!({"num_attention_heads": 0}),
                "num_attention_heads = 0: must divide hidden_size (48) where head_dim is not given",
            ),
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
            (
                json!({"head_dim": 7}),
                "head_dim = 7: must be even, for the rotation pairs the halves of a head",
            ),
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
    let fraction = "must be a whole number, written without a fraction or exponent";
    check(
        "llama",
        &[
            (
                json!({"vocab_size": "128"}),
                "vocab_size = \"128\": must be a whole number, not a string",
            ),
            (
                json!({"vocab_size": -1}),
                "vocab_size = -1: must be a whole number that is not negative",
            ),
            (
                json!({"vocab_size": 1.5}),
                &format!("vocab_size = 1.5: {fraction}"),
            ),
            (
                json!({"vocab_size": 128.0}),
                &format!("vocab_size = 128.0: {fraction}"),
            ),
            (
                json!({"vocab_size": 1e30}),
                "vocab_size = 1e+30: is larger than a size can be",
            ),
            (
                json!({"vocab_size": [1]}),
                "vocab_size = [1]: must be a whole number, not a list",
            ),
            (
                json!({"max_position_embeddings": null}),
                "max_position_embeddings = null: must be a whole number, not null; remove the field to get its default",
            ),
            (
                json!({"rms_norm_eps": true}),
                "rms_norm_eps = true: must be a number, not true or false",
            ),
            (
                json!({"rms_norm_eps": {"__float__": "NaN"}}),
                "rms_norm_eps = {\"__float__\":\"NaN\"}: must be a number, not an object",
            ),
            (
                json!({"tie_word_embeddings": 1}),
                "tie_word_embeddings = 1: must be true or false, not a number",
            ),
            (
                json!({"attention_bias": "yes"}),
                "attention_bias = \"yes\": must be true or false, not a string",
            ),
            (
                json!({"model_type": 3}),
                "model_type = 3: must be a string, not a number",
            ),
            (
                json!({"hidden_act": null}),
                "hidden_act = null: must be a string, not null; remove the field to get its default",
            ),
            (
                json!({"hidden_act": "mish"}),
                "hidden_act = \"mish\" is not supported: use one of silu (or swish), gelu, gelu_pytorch_tanh (or \
                 gelu_new), relu",
            ),
            (
                json!({"dtype": "float8_e4m3fn"}),
                "dtype = \"float8_e4m3fn\" is not supported: use one of float32, float16, bfloat16",
            ),
            (
                json!({"torch_dtype": "int8"}),
                "torch_dtype = \"int8\" is not supported: use one of float32, float16, bfloat16",
            ),
            (
                json!({"bos_token_id": "1"}),
                "bos_token_id = \"1\": must be a token id, a whole number, not a string",
            ),
            (
                json!({"bos_token_id": [1]}),
                "bos_token_id = [1]: must be a token id, a whole number, not a list",
            ),
            (
                json!({"bos_token_id": 1.5}),
                "bos_token_id = 1.5: must be a token id, a whole number",
            ),
            (
                json!({"bos_token_id": 5_000_000_000u64}),
                "bos_token_id = 5000000000: is larger than a token id can be",
            ),
            (
                json!({"eos_token_id": [1, "x"]}),
                "eos_token_id = [1,\"x\"]: entry 1 must be a token id, a whole number, not a string",
            ),
            (
                json!({"layer_types": "full_attention"}),
                "layer_types = \"full_attention\": must be a list of strings, not a string",
            ),
            (
                json!({"layer_types": [1]}),
                "layer_types = [1]: entry 0 must be a string, not a number",
            ),
        ],
    );
}

#[test]
fn numbers() {
    check(
        "llama",
        &[
            (
                json!({"rms_norm_eps": 0}),
                "rms_norm_eps = 0: must be a finite number above 0",
            ),
            (
                json!({"rms_norm_eps": -1e-5}),
                "rms_norm_eps = -0.00001: must be a finite number above 0",
            ),
            (
                json!({"initializer_range": -1}),
                "initializer_range = -1: must be a finite number that is not negative",
            ),
            (
                json!({"attention_dropout": 1}),
                "attention_dropout = 1: must be a probability from 0 to below 1",
            ),
            (
                json!({"attention_dropout": -0.1}),
                "attention_dropout = -0.1: must be a probability from 0 to below 1",
            ),
        ],
    );
    // What JSON cannot hold, code can.
    let valid = read(&minimal("llama")).unwrap();
    for eps in [f64::NAN, f64::INFINITY] {
        let config = LlamaConfig {
            rms_norm_eps: eps,
            ..valid.clone()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            format!("rms_norm_eps = {eps}: must be a finite number above 0")
        );
    }
}
