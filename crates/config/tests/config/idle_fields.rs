//! Fields that decide nothing, whatever they hold.

use glass_config::{Dtype, LlamaConfig};
use serde_json::{Value, json};

use crate::common::{minimal, read};

fn with(fields: &str) -> Result<LlamaConfig, String> {
    let text = minimal("llama").to_string().replacen('{', &format!("{{{fields}, "), 1);
    LlamaConfig::from_json(&text, "config.json", &[]).map_err(|error| error.to_string())
}

#[test]
fn what_only_python_reads_may_stand_where_nothing_is_decided() {
    let plain = read(&minimal("llama")).unwrap();
    for value in [
        "Infinity",
        "-Infinity",
        "NaN",
        "1e999",
        "-1e999",
        "[0.0, {\"a\": Infinity}]",
        "\"\\ud800\"",
        "{\"__float__\": \"NaN\"}",
    ] {
        for field in [
            "time_step_limit",
            "initializer_range",
            "attention_dropout",
            "pad_token_id",
            "dtype",
            "torch_dtype",
            "id2label",
            "max_time",
        ] {
            let mut config = with(&format!("\"{field}\": {value}")).unwrap();
            config.ignored.clear();
            assert_eq!(config, plain, "{field} = {value}");
        }
        for field in ["rope_theta", "rms_norm_eps", "head_dim", "max_position_embeddings", "final_logit_softcapping"] {
            let error = with(&format!("\"{field}\": {value}")).unwrap_err();
            assert!(error.starts_with(&format!("config.json: {field} = ")) && !error.contains("__float__"), "{error}");
        }
    }
    assert_eq!(
        with("\"rms_norm_eps\": Infinity").unwrap_err(),
        "config.json: rms_norm_eps = Infinity: must be a finite number above 0"
    );
}

#[test]
fn any_dtype_is_read_and_only_those_that_are_computed_in_are_kept() {
    for (dtype, kept) in [
        (json!("float32"), Some(Dtype::Float32)),
        (json!("torch.bfloat16"), Some(Dtype::BFloat16)),
        (json!("half"), Some(Dtype::Float16)),
        (Value::Null, None),
        (json!("auto"), None),
        (json!("float64"), None),
        (json!("torch.float64"), None),
        (json!("float8_e4m3fn"), None),
        (json!("FP16"), None),
        (json!("int8"), None),
        (json!(""), None),
        (json!(16), None),
        (json!({"text_config": "float16"}), None),
    ] {
        for field in ["dtype", "torch_dtype"] {
            let mut file = minimal("llama");
            file[field] = dtype.clone();
            let config = read(&file).unwrap();
            assert_eq!(config.dtype, kept, "{dtype}");
            let warned: Vec<_> = config.ignored.iter().map(|ignored| ignored.name.as_str()).collect();
            let expected: &[&str] = if kept.is_some() || dtype.is_null() { &[] } else { &[field] };
            assert_eq!(warned, expected, "{dtype}");
        }
    }
    // Two that differ: the new one, as transformers takes it, with a word about the other.
    for (dtype, torch_dtype, kept, warnings) in [
        ("float32", json!("float16"), Some(Dtype::Float32), 1),
        ("float32", json!("torch.float32"), Some(Dtype::Float32), 0),
        ("float32", Value::Null, Some(Dtype::Float32), 0),
        ("auto", json!("float16"), None, 2),
    ] {
        let mut file = minimal("llama");
        file["dtype"] = dtype.into();
        file["torch_dtype"] = torch_dtype.clone();
        let config = read(&file).unwrap();
        assert_eq!((config.dtype, config.ignored.len()), (kept, warnings), "{dtype} and {torch_dtype}");
    }
}

/// The base class of transformers 4 and 5 as a file may hold it, defaults and others.
#[test]
fn fields_of_the_base_class_are_nothing_to_warn_of() {
    let fields: Value = serde_json::from_str(
        r#"{
        "_name_or_path": "a/b", "name_or_path": "", "architectures": ["LlamaForCausalLM"], "auto_map": {"AutoConfig": "x.Y"},
        "transformers_version": "4.31.0", "_commit_hash": null, "return_dict": true, "output_hidden_states": true,
        "output_attentions": false, "torchscript": false, "use_bfloat16": false, "tf_legacy_loss": false,
        "pruned_heads": {}, "chunk_size_feed_forward": 0, "is_encoder_decoder": false, "is_decoder": true,
        "cross_attention_hidden_size": null, "add_cross_attention": false, "tie_encoder_decoder": false,
        "finetuning_task": null, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "num_labels": 2,
        "task_specific_params": null, "problem_type": "regression", "tokenizer_class": null, "prefix": null,
        "unk_token_id": 0, "sep_token_id": null, "decoder_start_token_id": null, "pad_token_id": 0,
        "max_length": 20, "min_length": 0, "do_sample": false, "early_stopping": false, "num_beams": 1,
        "num_beam_groups": 1, "diversity_penalty": 0.0, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "typical_p": 1.0,
        "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
        "bad_words_ids": null, "num_return_sequences": 1, "output_scores": false, "return_dict_in_generate": false,
        "forced_bos_token_id": null, "forced_eos_token_id": null, "remove_invalid_values": false,
        "exponential_decay_length_penalty": null, "suppress_tokens": null, "begin_suppress_tokens": null,
        "_attn_implementation_autoset": true, "use_cache": true, "per_layer_config": null, "tie_last_hidden_states": null,
        "gradient_checkpointing": false, "xla_device": null, "torch_dtype": "float16"
        }"#,
    )
    .unwrap();
    let mut file = minimal("llama");
    for (name, value) in fields.as_object().unwrap() {
        file[name] = value.clone();
    }
    let config = read(&file).unwrap();
    assert_eq!(config.ignored, []);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let harmless = LlamaConfig::harmless_fields(&path, &[]).unwrap();
    let listed = |name: &str| harmless.iter().any(|field| field.name == name);
    for name in fields.as_object().unwrap().keys() {
        // A refused field at the value that changes nothing is none that is there.
        let is_switch = ["pruned_heads", "is_encoder_decoder", "add_cross_attention", "per_layer_config"];
        assert_eq!(listed(name), !is_switch.contains(&name.as_str()), "{name}");
    }
    assert!(!listed("hidden_size"));
}
