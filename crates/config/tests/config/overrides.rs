//! `key=value` pairs laid over either dialect.

use crate::common::{file, minimal, mlp, read_with, scaling, windows};
use glass_config::{DynamicScaling, LinearScaling, LlamaConfig, ModelType, Override, RopeScaling};
use serde_json::{Value, json};

fn apply(file: &Value, overrides: &[&str]) -> LlamaConfig {
    read_with(file, overrides).unwrap()
}

fn refused(file: &Value, overrides: &[&str]) -> String {
    read_with(file, overrides).unwrap_err().to_string()
}

fn version_4() -> Value {
    file(
        "llama",
        json!({"rope_theta": 5000.0, "torch_dtype": "float32",
               "rope_scaling": {"type": "linear", "factor": 2.0}}),
    )
}

fn version_5() -> Value {
    file(
        "llama",
        json!({"dtype": "float32",
               "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0}}),
    )
}

fn linear(factor: f64) -> RopeScaling {
    RopeScaling::Linear(LinearScaling { factor })
}

/// Of a model that was trained on a llama's default length.
fn dynamic(factor: f64) -> RopeScaling {
    RopeScaling::Dynamic(DynamicScaling { factor, max_position_embeddings: 2048 })
}

#[test]
fn either_dialect_of_key_works_on_either_dialect_of_file() {
    for file in [version_4(), version_5()] {
        for key in ["rope_theta", "rope_parameters.rope_theta", "rope_scaling.rope_theta"] {
            let config = apply(&file, &[&format!("{key}=777")]);
            assert_eq!(config.ropes[0].rope_theta, 777.0);
            assert_eq!(scaling(&config), linear(2.0));
        }
        for key in ["rope_parameters", "rope_scaling"] {
            let config = apply(&file, &[&format!("{key}.factor=8")]);
            assert_eq!(scaling(&config), linear(8.0));
            for inner in ["type", "rope_type"] {
                let config = apply(&file, &[&format!("{key}.{inner}=dynamic")]);
                assert_eq!(scaling(&config), dynamic(2.0));
            }
        }
        for key in ["dtype", "torch_dtype"] {
            let error = refused(&file, &[&format!("{key}=bfloat16")]);
            assert!(error.contains("is chosen at load"), "{error}");
        }
    }
}

#[test]
fn whole_rope_objects() {
    for file in [version_4(), version_5()] {
        // Under version 4's name θ is a field of its own and stays; under version 5's it is part of the object.
        let old = apply(&file, &[r#"rope_scaling={"type": "dynamic", "factor": 3}"#]);
        assert_eq!(scaling(&old), dynamic(3.0));
        assert_eq!(old.ropes[0].rope_theta, 5000.0);
        let new = apply(&file, &[r#"rope_parameters={"rope_type": "dynamic", "factor": 3}"#]);
        assert_eq!(scaling(&new), dynamic(3.0));
        assert_eq!(new.ropes[0].rope_theta, 10_000.0);
        let none = apply(&file, &["rope_scaling=null"]);
        assert_eq!(scaling(&none), RopeScaling::Default);
        assert_eq!(none.ropes[0].rope_theta, 5000.0);
        // Later ones see what earlier ones left.
        let both = apply(&file, &["rope_scaling=null", "rope_scaling.rope_type=linear", "rope_scaling.factor=5"]);
        assert_eq!(scaling(&both), linear(5.0));
    }
}

#[test]
fn the_family_can_be_changed() {
    let config = apply(&minimal("llama"), &["model_type=mistral", "sliding_window=64"]);
    assert_eq!(config.model_type, ModelType::Mistral);
    assert_eq!(windows(&config), [Some(64); 4]);
    let config = apply(&minimal("qwen2"), &["use_sliding_window=true", "sliding_window=64", "max_window_layers=3"]);
    assert_eq!(windows(&config), [None, None, None, Some(64)]);
}

#[test]
fn windows_can_be_switched_off() {
    let file = file("qwen2", json!({"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 2}));
    for switch in ["use_sliding_window=false", "sliding_window=null", "max_window_layers=4"] {
        assert_eq!(windows(&apply(&file, &[switch])), [None; 4], "{switch}");
    }
}

#[test]
fn the_last_one_wins_and_values_are_json_or_text() {
    let config = apply(
        &minimal("llama"),
        &["hidden_act=gelu", "eos_token_id=[3, 4]", " hidden_act = \"relu\" ", "head_dim=null"],
    );
    assert_eq!(mlp(&config).hidden_act.to_string(), "relu");
    assert_eq!(config.eos_token_id, [3, 4]);
}

#[test]
fn a_refused_field_can_be_taken_out() {
    let file = file("llama", json!({"quantization_config": {"bits": 4}}));
    assert!(read_with(&file, &[]).is_err());
    assert!(read_with(&file, &["quantization_config=null"]).is_ok());
}

#[test]
fn overrides_without_effect_are_errors() {
    let plain = minimal("llama");
    let cases = [
        (
            "sliding_window=64",
            "override `sliding_window=64`: llama never slides; set model_type=mistral for a window in every layer",
        ),
        (
            "num_hidden_layer=2",
            "override `num_hidden_layer=2`: llama has no such field; did you mean num_hidden_layers?",
        ),
        ("rope_theat=1e6", "override `rope_theat=1e6`: llama has no such field; did you mean rope_theta?"),
        ("rope_scaling.fcator=2", "override `rope_scaling.fcator=2`: no rope_type uses it; did you mean factor?"),
        ("colour=blue", "override `colour=blue`: llama has no such field"),
        ("colour=null", "override `colour=null`: it is null and no field of the model"),
        ("rope_parameters.factor=2", "override `rope_parameters.factor=2`: rope_type default does not use it"),
        (
            r#"rope_scaling={"type":"linear","factor":2,"beta_fast":3}"#,
            "override `rope_scaling={\"type\":\"linear\",\"factor\":2,\"beta_fast\":3}`: rope_type linear does not use it",
        ),
        ("use_cache=false", "override `use_cache=false`: it has no effect on what the model computes"),
        (
            "temperature=0.5",
            "override `temperature=0.5`: a setting for generation, which belongs in generation_config.json",
        ),
        ("bos_token_id=-1", "override `bos_token_id=-1`: no token has a negative id, so this stands for none"),
        ("initializer_range=5", "override `initializer_range=5`: it has no part in running a model"),
        (
            "quantization_config.bits=4",
            "override `quantization_config.bits=4`: only the fields in rope_parameters (or rope_scaling) can be set by a dotted name",
        ),
        (
            "rope_scaling=linear",
            "override `rope_scaling=linear`: rope_scaling = \"linear\": must be an object {...} or null",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(&plain, &[text]), expected);
    }
}

#[test]
fn windows_that_cannot_slide_are_errors() {
    let listed = json!({"use_sliding_window": true, "layer_types": vec!["full_attention"; 4]});
    let cases = [
        (json!({}), "sliding_window=8", "no layer slides while use_sliding_window is false; change that too"),
        (json!({}), "use_sliding_window=true", "no layer slides while max_window_layers is 28; change that too"),
        (
            json!({"use_sliding_window": true}),
            "sliding_window=8",
            "no layer slides while max_window_layers is 28; change that too",
        ),
        (
            listed.clone(),
            "sliding_window=8",
            "no layer slides while layer_types is full_attention everywhere; change that too",
        ),
        (listed, "max_window_layers=0", "layer_types decides which layers slide; set layer_types=null too"),
        (
            json!({"sliding_window": null, "max_window_layers": 0}),
            "use_sliding_window=true",
            "no layer slides while sliding_window is null; change that too",
        ),
    ];
    for (changes, text, why) in cases {
        let line = refused(&file("qwen2", changes), &[text]);
        assert_eq!(line, format!("override `{text}`: {why}"));
    }
}

#[test]
fn overrides_are_validated_like_the_file() {
    let plain = minimal("llama");
    assert_eq!(
        refused(&plain, &["hidden_size=big"]),
        "config.json with hidden_size=big: hidden_size = \"big\": must be a whole number (without fraction or \
         exponent) of at least 1"
    );
    assert_eq!(
        refused(&version_4(), &["rope_parameters.factor=0.5"]),
        "config.json with rope_parameters.factor=0.5: rope_scaling.factor = 0.5: must be a number of at least 1, for \
         scaling lengthens the context"
    );
    assert_eq!(
        refused(&plain, &["attention_chunk_size=8"]),
        "config.json with attention_chunk_size=8: attention_chunk_size = 8 is not supported: attention is full or \
         windowed here, never in chunks"
    );
}

#[test]
fn malformed_overrides() {
    let parse = |text: &str| text.parse::<Override>().unwrap_err().to_string();
    assert_eq!(parse("sliding_window"), "override `sliding_window`: must be key=value, such as sliding_window=1024");
    for text in ["=3", "a..b=3", ".a=3"] {
        assert!(parse(text).ends_with("such as rope_parameters.factor=2"), "{}", parse(text));
    }
}

#[test]
fn display_is_what_was_typed() {
    for text in ["model_type=mistral", "rope_parameters.factor=2.5", "eos_token_id=[1,2]", "head_dim=null"] {
        assert_eq!(text.parse::<Override>().unwrap().to_string(), text);
    }
    assert_eq!("a=two\nlines".parse::<Override>().unwrap().to_string(), r"a=two\nlines");
}

/// What has a say in training alone is judged where a model is trained.
#[test]
fn training_has_fields_of_its_own() {
    let train = |file: &Value, set: &str| {
        LlamaConfig::from_json_to_train(&file.to_string(), "config.json", &[set.parse::<Override>().unwrap()])
    };
    let file = minimal("llama");
    assert_eq!(train(&file, "attention_dropout=0.5").unwrap().attention_dropout, 0.5);
    assert_eq!(train(&file, "initializer_range=0").unwrap().initializer_range, 0.0);
    for (set, rule) in [
        ("attention_dropout=2", "attention_dropout = 2: must be a probability from 0 to below 1"),
        ("attention_dropout=x", "attention_dropout = \"x\": must be a probability"),
        ("initializer_range=-1", "initializer_range = -1: must be a number that is not negative"),
    ] {
        let error = train(&file, set).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
        assert!(refused(&file, &[set]).contains("it has no part in running a model"));
    }
    let error = train(&minimal("mamba"), "attention_dropout=0.5").unwrap_err().to_string();
    assert!(error.contains("nothing attends in this family"), "{error}");
}
