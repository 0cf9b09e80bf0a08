//! Published files, and what absent fields and nulls mean.

use glass_config::{Activation, AttentionBias, Dtype, Llama3Scaling, LlamaConfig, ModelType, RopeScaling};
use serde_json::json;

use crate::common::{attention, file, minimal, mlp, read, scaling, windows};

#[test]
fn llama_3_1_8b_as_published() {
    let text = r#"{
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu",
        "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
        "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_scaling": {
            "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"
        },
        "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "transformers_version": "4.43.0", "use_cache": true, "vocab_size": 128256
    }"#;
    let config = LlamaConfig::from_json(text, "config.json", &[]).unwrap();
    assert_eq!(config.model_type, ModelType::Llama);
    let heads = attention(&config);
    assert_eq!(heads.head_dim, 128);
    assert_eq!((heads.num_attention_heads, heads.num_key_value_heads), (32, 8));
    assert_eq!((heads.q_size(), heads.kv_size()), (4096, 1024));
    assert_eq!(config.eos_token_id, [128_001, 128_008, 128_009]);
    assert_eq!(config.pad_token_id, None);
    assert_eq!(config.dtype, Some(Dtype::BFloat16));
    assert_eq!(windows(&config), [None; 32]);
    assert_eq!(config.ropes[0].rope_theta, 500_000.0);
    assert_eq!(
        scaling(&config),
        RopeScaling::Llama3(Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        })
    );
    assert_eq!(config.ignored, []);
    // The published count.
    assert_eq!(config.num_parameters(), 8_030_261_248);
}

#[test]
fn smollm2_135m_as_published() {
    let config = read(&json!({
        "architectures": ["LlamaForCausalLM"], "bos_token_id": 0, "eos_token_id": 0,
        "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.041666666666666664,
        "intermediate_size": 1536, "is_llama_config": true, "max_position_embeddings": 8192,
        "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30,
        "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "rope_interleaved": false,
        "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "vocab_size": 49152
    }))
    .unwrap();
    assert_eq!(config.num_parameters(), 134_515_008);
    let heads = attention(&config);
    assert_eq!((heads.num_attention_heads, heads.num_key_value_heads), (9, 3));
    assert_eq!(config.ignored, []);
}

#[test]
fn absent_fields_take_the_class_default_of_the_family() {
    let mut bare = minimal("llama");
    bare.as_object_mut().unwrap().remove("num_key_value_heads");
    let llama = read(&bare).unwrap();
    assert_eq!(attention(&llama).num_key_value_heads, 4);
    assert_eq!(attention(&llama).head_dim, 12);
    assert_eq!(mlp(&llama).hidden_act, Activation::Silu);
    assert_eq!(llama.norm.eps, 1e-6);
    assert_eq!(llama.max_position_embeddings, 2048);
    assert_eq!(llama.ropes[0].rope_theta, 10_000.0);
    assert_eq!(scaling(&llama), RopeScaling::Default);
    assert_eq!(attention(&llama).bias, AttentionBias::default());
    assert!(!mlp(&llama).bias);
    assert!(!llama.tie_word_embeddings);
    assert_eq!((llama.bos_token_id, llama.pad_token_id), (Some(1), None));
    assert_eq!(llama.eos_token_id, [2]);
    assert_eq!((llama.dtype, llama.initializer_range, llama.attention_dropout), (None, 0.02, 0.0));

    // Mistral's default of 8 and Qwen2's of 32 key/value heads.
    bare["num_attention_heads"] = json!(32);
    bare["hidden_size"] = json!(64);
    bare["model_type"] = json!("mistral");
    let mistral = read(&bare).unwrap();
    assert_eq!(attention(&mistral).num_key_value_heads, 8);
    assert_eq!(mistral.max_position_embeddings, 131_072);
    assert_eq!((mistral.bos_token_id, mistral.eos_token_id), (Some(1), vec![2]));

    bare["model_type"] = json!("qwen2");
    let qwen2 = read(&bare).unwrap();
    assert_eq!(attention(&qwen2).num_key_value_heads, 32);
    assert_eq!(qwen2.max_position_embeddings, 32_768);
    assert_eq!((qwen2.bos_token_id, qwen2.eos_token_id), (None, vec![]));
}

#[test]
fn null_is_not_absence() {
    for family in ["llama", "mistral", "qwen2"] {
        let config = read(&file(
            family,
            json!({"num_key_value_heads": null, "head_dim": null, "bos_token_id": null,
                   "eos_token_id": null, "dtype": null}),
        ))
        .unwrap();
        let heads = attention(&config);
        assert_eq!((heads.num_key_value_heads, heads.head_dim), (4, 12));
        assert_eq!((config.bos_token_id, config.eos_token_id), (None, vec![]));
    }
}

#[test]
fn head_dim_may_differ_from_the_quotient() {
    let config = read(&file("llama", json!({"head_dim": 16, "hidden_size": 50}))).unwrap();
    let heads = attention(&config);
    assert_eq!((heads.head_dim, heads.q_size(), heads.kv_size()), (16, 64, 32));
}

#[test]
fn words_have_aliases() {
    let act = |name: &str| {
        let config = read(&file("llama", json!({"hidden_act": name})));
        mlp(&config.unwrap()).hidden_act
    };
    assert_eq!(act("swish"), Activation::Silu);
    assert_eq!(act("gelu"), Activation::Gelu);
    assert_eq!(act("gelu_new"), Activation::GeluTanh);
    assert_eq!(act("gelu_pytorch_tanh"), Activation::GeluTanh);
    assert_eq!(act("relu"), Activation::Relu);
    let dtype = |name: &str| read(&file("llama", json!({"torch_dtype": name}))).unwrap().dtype;
    assert_eq!(dtype("torch.bfloat16"), Some(Dtype::BFloat16));
    assert_eq!(dtype("half"), Some(Dtype::Float16));
    assert_eq!(dtype("float"), Some(Dtype::Float32));
}

#[test]
fn a_byte_order_mark_is_no_obstacle() {
    let text = format!("\u{feff}{}", minimal("llama"));
    assert!(LlamaConfig::from_json(&text, "config.json", &[]).is_ok());
}
