//! `dual_chunk_attention_config`.

use glass_config::{DualChunk, LlamaConfig};
use serde_json::{Value, json};

use crate::common::{attention, check, file, read, read_with};

fn with(dual: Value) -> Value {
    json!({ "dual_chunk_attention_config": dual })
}

#[test]
fn qwen2_5_7b_1m_as_published() {
    let config = read(&json!({
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "dual_chunk_attention_config": {
            "chunk_size": 262144, "local_size": 8192, "original_max_position_embeddings": 262144
        },
        "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 3584, "initializer_range": 0.02,
        "intermediate_size": 18944, "max_position_embeddings": 1010000, "max_window_layers": 28,
        "model_type": "qwen2", "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5, "rope_theta": 10000000.0, "sliding_window": 32768, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "use_cache": true, "use_sliding_window": false, "vocab_size": 152064
    }))
    .expect("a config");
    let expected = DualChunk { chunk_size: 262_144, local_size: 8192, original_max_position_embeddings: Some(262_144) };
    assert_eq!(attention(&config).dual_chunk, Some(expected));
    assert_eq!(expected.chunk(), 253_952);
    assert_eq!(config.ignored, []);
    let written = config.to_json();
    assert_eq!(written["dual_chunk_attention_config"]["local_size"], 8192);
    assert_eq!(LlamaConfig::from_json(&written.to_string(), "again", &[]).expect("what was written"), config);
    config.validate().expect("it is valid");
}

/// Arithmetic of the scaling: nothing up to the trained length, and e times as long a tenth.
#[test]
fn queries_are_scaled_beyond_the_trained_length() {
    let dual = |original| DualChunk { chunk_size: 8, local_size: 2, original_max_position_embeddings: original };
    assert_eq!(dual(None).query_factor(1 << 40), 1.0);
    for (position, factor) in [(0, 1.0), (99, 1.0), (999, 1.0 + 0.1 * 10f64.ln()), (9_999, 1.0 + 0.2 * 10f64.ln())] {
        assert!((dual(Some(100)).query_factor(position) - factor).abs() < 1e-12, "{position}");
    }
    let zero = file("llama", with(json!({"chunk_size": 8, "local_size": 2, "original_max_position_embeddings": 0})));
    assert_eq!(attention(&read(&zero).expect("a config")).dual_chunk, Some(dual(None)));
}

#[test]
fn layers_without_rope_have_no_chunks() {
    let dual = with(json!({"chunk_size": 8, "local_size": 0}));
    let config = read(&file("smollm3", dual)).expect("a config");
    let chunked = config.layers.iter().map(|layer| layer.attention().expect("attention").dual_chunk.is_some());
    assert_eq!(chunked.collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(read(&config.to_json()).expect("what was written"), config);
}

#[test]
fn it_is_set_by_hand_and_taken_out_again() {
    let text = r#"dual_chunk_attention_config={"chunk_size": 192, "local_size": 32}"#;
    let plain = file("llama", json!({}));
    let config = read_with(&plain, &[text]).expect("a config");
    assert_eq!(attention(&config).dual_chunk.map(DualChunk::chunk), Some(160));
    let out = read_with(
        &file("llama", with(json!({"chunk_size": 8, "local_size": 2}))),
        &["dual_chunk_attention_config=null"],
    );
    assert_eq!(out.expect("a config"), read(&plain).expect("a config"));
}

#[test]
fn a_sparse_pattern_is_not_honoured_and_said_so() {
    let dual = with(json!({
        "chunk_size": 8, "local_size": 2, "sparse_attention_enabled": true, "sparse_attention_threshold": 32768
    }));
    let ignored = read(&file("llama", dual)).expect("a config").ignored;
    let names: Vec<&str> = ignored.iter().map(|field| field.name.as_str()).collect();
    let name = "dual_chunk_attention_config.sparse_attention_";
    assert_eq!(names, [format!("{name}enabled"), format!("{name}threshold")]);
    assert!(ignored[0].why.contains("all keys are attended to"), "{}", ignored[0].why);
}

#[test]
fn what_does_not_fit_is_refused() {
    let size = "must be a whole number (without fraction or exponent) of at least 1";
    let given = json!({"chunk_size": 8, "local_size": 2});
    let with_rope = |rope: Value| json!({"dual_chunk_attention_config": given, "rope_parameters": rope});
    check(
        "llama",
        &[
            (with(json!(8)), "dual_chunk_attention_config = 8: must be an object"),
            (
                with(json!({"chunk_size": 0, "local_size": 2})),
                &format!("dual_chunk_attention_config.chunk_size = 0: {size}"),
            ),
            (
                with(json!({"chunk_size": 8})),
                "dual_chunk_attention_config.local_size is missing: every model has its own",
            ),
            (
                with(json!({"chunk_size": 8, "local_size": 8})),
                "dual_chunk_attention_config.local_size = 8: must be less than chunk_size (8)",
            ),
            (
                with(json!({"chunk_size": 8, "local_size": 2, "chunk": 3})),
                "dual_chunk_attention_config.chunk = 3 is not supported: dual chunk attention has no such parameter",
            ),
            (
                with_rope(json!({"rope_type": "dynamic", "factor": 2.0})),
                "dual_chunk_attention_config does not fit the model: rope type dynamic turns by angles that depend on the \
                 length of the text",
            ),
        ],
    );
    check(
        "mistral",
        &[(
            json!({"dual_chunk_attention_config": given, "sliding_window": 6}),
            "dual_chunk_attention_config does not fit the model: layers have a window of 6, and chunks are for full \
             attention",
        )],
    );
    let none = "dual_chunk_attention_config does not fit the model: no attention layer has RoPE";
    check("smollm3", &[(json!({"dual_chunk_attention_config": given, "no_rope_layers": [0, 0, 0, 0]}), none)]);
    check("retnet", &[(with(given), none)]);
}
