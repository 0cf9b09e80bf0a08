//! `config.json`, its overrides, and what of it is not honoured.

use serde_json::json;

use crate::{
    models::{copy, expected, fixture},
    run::{fails, refused, succeeds},
};

fn args<'a>(model: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let head = ["generate", model, "--ids", "1,2,3", "-n", "20", "--ignore-eos", "--device", "flex"];
    [&head[..], rest].concat()
}

#[test]
fn an_override_counts() {
    let model = &fixture("mistral-swa");
    let prompt = crate::models::comma(&expected(model)["input_ids"].ids());
    let with = |set: &[&str]| {
        let head = ["generate", model, "--ids", &prompt, "-n", "20", "--ignore-eos", "--device", "flex"];
        succeeds(&[&head[..], set].concat()).stdout
    };
    let usual = with(&[]);
    assert_eq!(with(&["--set", "sliding_window=8"]), usual, "that is what the file says");
    assert_ne!(with(&["--set", "sliding_window=2"]), usual);
    assert_ne!(with(&["--set", "sliding_window=null"]), usual);
    // The last word counts.
    let twice = ["--set", "sliding_window=2", "--set", "sliding_window=8"];
    assert_eq!(with(&twice), usual);
    let scaled = ["--set", "rope_parameters.rope_type=linear", "--set", "rope_parameters.factor=4"];
    assert_ne!(with(&scaled), usual);
}

#[test]
fn overrides_that_cannot_be_are_refused() {
    let model = &fixture("llama-gqa");
    let set = |text: &str, words: &[&str]| {
        fails(&args(model, &["--set", text]), words);
    };
    set("nonsense=1", &["nonsense=1", "no such field"]);
    set("sliding_window=8", &["sliding_window=8", "llama never slides"]);
    set("rope_parameters.factor=2", &["rope_parameters.factor=2", "default"]);
    set("hidden_size=many", &["hidden_size", "\"many\"", "whole number"]);
    set("rms_norm_eps=-1", &["rms_norm_eps", "-1"]);
    set("num_attention_heads=5", &["num_key_value_heads = 2", "5"]);
    set("model_type=bert", &["bert", "llama", "mistral", "qwen2"]);
    set("hidden_act=swoosh", &["hidden_act", "swoosh", "silu"]);
    set("rope_parameters.rope_type=spiral", &["rope_type", "spiral", "default", "llama3"]);
    refused(&args(model, &["--set", "sliding_window"]), &["sliding_window", "key=value"]);
    refused(&args(model, &["--set", "=1"]), &["field name"]);
}

#[test]
fn a_shape_that_the_files_do_not_have() {
    let model = &fixture("llama-gqa");
    fails(
        &args(model, &["--set", "vocab_size=127"]),
        &["model.safetensors", "model.embed_tokens.weight", "[128, 48]", "[127, 48]"],
    );
}

#[test]
fn fields_without_use_are_warned_of() {
    let model = copy(&fixture("llama-gqa"));
    model.edit_json("config.json", |fields| {
        fields.insert("flux_capacitor".into(), json!(88));
    });
    model.edit_json("generation_config.json", |fields| {
        fields.insert("num_beams".into(), json!(4));
        fields.insert("typical_p".into(), json!(1.0));
    });
    let ran = succeeds(&args(&model.path(), &[]));
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("glass: warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{ran:?}");
    ran.says(&["config.json: flux_capacitor = 88 is ignored", "num_beams"]);
}

#[test]
fn fields_that_would_change_the_result_are_refused() {
    let model = copy(&fixture("llama-gqa"));
    model.edit_json("config.json", |fields| {
        fields.insert("attn_logit_softcapping".into(), json!(50.0));
    });
    fails(&args(&model.path(), &[]), &["config.json", "attn_logit_softcapping = 50", "not supported"]);
}

#[test]
fn broken_config_files() {
    let model = copy(&fixture("llama-gqa"));
    let path = &model.path();
    for (content, words) in [
        ("", &["config.json", "is empty"][..]),
        ("{", &["config.json", "not valid JSON"]),
        ("[]", &["config.json", "JSON object"]),
        ("{}", &["config.json", "model_type", "missing"]),
    ] {
        model.write("config.json", content);
        fails(&args(path, &[]), words);
    }
    model.write("config.json", b"\xff\xfe");
    fails(&args(path, &[]), &["config.json", "UTF-8"]);
    model.remove("config.json");
    fails(&args(path, &[]), &["config.json", "no such file"]);
    fails(&["info", path], &["config.json", "no such file"]);
}

#[test]
fn broken_generation_config_files() {
    let model = copy(&fixture("llama-gqa"));
    let path = &model.path();
    model.write("generation_config.json", "{");
    fails(&args(path, &[]), &["generation_config.json", "not a JSON object"]);
    model.write("generation_config.json", "{\"temperature\": \"hot\", \"do_sample\": true}");
    fails(&args(path, &[]), &["generation_config.json", "temperature", "hot"]);
    // It is optional.
    model.remove("generation_config.json");
    succeeds(&args(path, &[]));
}
