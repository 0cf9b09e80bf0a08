//! `glass generate --json-schema`.

use std::{fs, path::PathBuf};

use glass_testing::fixtures;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    models::{copy, fixture, random_tiny, shipped},
    run::{fails, refused, succeeds, text},
};

/// A file with a schema.
struct Schema {
    _folder: TempDir,
    path: PathBuf,
}

impl Schema {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("schema.json");
        fs::write(&path, content).expect("written");
        Self { _folder: folder, path }
    }

    fn path(&self) -> String {
        text(&self.path)
    }
}

fn person() -> Schema {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Z][a-z]{1,8}$"},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "pets": {"type": "array", "items": {"enum": ["cat", "dog"]}, "maxItems": 3},
            "happy": {"type": "boolean"}
        },
        "required": ["name", "age", "pets"],
        "additionalProperties": false
    });
    Schema::new(&schema.to_string())
}

fn is_person(value: &Value) -> bool {
    let name = value["name"].as_str().expect("a name");
    let pets = value["pets"].as_array().expect("a list");
    let happy = value.get("happy");
    (2..=9).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name[1..].bytes().all(|c| c.is_ascii_lowercase())
        && value["age"].as_f64().is_some_and(|age| age.fract() == 0.0 && (0.0..=120.0).contains(&age))
        && pets.len() <= 3
        && pets.iter().all(|pet| [json!("cat"), json!("dog")].contains(pet))
        && happy.is_none_or(Value::is_boolean)
        && value.as_object().map(serde_json::Map::len) == Some(3 + usize::from(happy.is_some()))
}

fn base<'a>(model: &'a str, schema: &'a str) -> Vec<&'a str> {
    let mut args = vec!["generate", model, "-p", "Who?", "--json-schema", schema];
    args.extend(["--device", "flex"]);
    args
}

#[test]
fn random_model_writes_what_the_schema_asks_for() {
    let (model, schema) = (random_tiny(), person());
    let path = schema.path();
    for options in [
        &["--temperature", "0"][..],
        &["--temperature", "1", "--seed", "1"],
        &["--temperature", "1", "--seed", "2"],
        &["--temperature", "5", "--seed", "3", "--top-k", "3"],
        &["--temperature", "0", "--prompt-lookup", "3"],
        &["--temperature", "0", "--repetition-penalty", "1.3"],
    ] {
        let args = [&base(&model, &path)[..], options].concat();
        let ran = succeeds(&args);
        assert!(!ran.stderr.contains("warning"), "{ran:?}");
        let value: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert!(is_person(&value), "{value}");
        let json = succeeds(&[&args[..], &["--json"]].concat()).json();
        let sequence = &json["sequences"][0];
        assert_eq!(format!("{}\n", sequence["text"].as_str().expect("a text")), ran.stdout);
        // After the last brace there is nothing but the end.
        assert_eq!(sequence["finish_reason"], "complete");
    }
}

/// Tokens of several letters, a space in front of many, and single bytes for the rest; not in the repository.
#[test]
fn trained_model_writes_what_the_schema_asks_for() {
    let Some(model) = fixtures::real("stories260K-hf") else {
        return;
    };
    let (model, schema) = (text(&model), person());
    let path = schema.path();
    for temperature in ["0", "0.7", "1", "2"] {
        for seed in ["1", "2"] {
            let mut args = base(&model, &path);
            args.extend(["--temperature", temperature, "--seed", seed, "--json"]);
            let json = succeeds(&args).json();
            let sequence = &json["sequences"][0];
            let text = sequence["text"].as_str().expect("a text");
            assert!(is_person(&serde_json::from_str(text).expect("JSON")), "{text}");
            assert_eq!(sequence["finish_reason"], "complete");
        }
    }
}

#[test]
fn schema_beyond_the_vocabulary_is_refused() {
    let (model, schema) = (shipped("shakespeare-full"), person());
    fails(&base(&model, &schema.path()), &["vocabulary cannot spell what the schema asks for", "\"\""]);
    // It has letters, and the digit 3. Without an end-of-sequence token a number ends where it may.
    let numbers = Schema::new(r#"{"anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 20}]}"#);
    for seed in ["1", "2", "3", "4"] {
        let path = numbers.path();
        let mut args = base(&model, &path);
        args.extend(["--temperature", "3", "--seed", seed]);
        let ran = succeeds(&args);
        assert!(["true\n", "false\n", "33\n"].contains(&ran.stdout.as_str()), "{ran:?}");
    }
}

#[test]
fn json_cut_by_its_limit_is_warned_of() {
    let (model, schema) = (random_tiny(), person());
    let path = schema.path();
    let mut args = base(&model, &path);
    args.extend(["-n", "9", "--temperature", "0", "--json"]);
    let ran = succeeds(&args);
    ran.says(&["warning: the JSON is cut after 9 tokens, before its end (--max-new-tokens allows more)"]);
    let sequence = ran.json()["sequences"][0].clone();
    assert_eq!(sequence["finish_reason"], "length");
    assert_eq!(sequence["text"].as_str().map(str::len), Some(9));
}

#[test]
fn log_probabilities_ignore_the_schema() {
    let (model, schema) = (random_tiny(), Schema::new(r#"{"const": [1]}"#));
    let path = schema.path();
    let mut args = base(&model, &path);
    args.extend(["--temperature", "0", "--json", "--logprobs", "1"]);
    let json = succeeds(&args).json();
    let sequence = &json["sequences"][0];
    assert_eq!(sequence["text"], "[1]");
    let all = sequence["logprobs"].as_array().expect("a list");
    let sum: f64 = all.iter().map(|one| one["logprob"].as_f64().expect("a number")).sum();
    // A forced token is certain under the schema, and improbable for a model that knows nothing.
    assert!(sum < -3.0, "{json}");
    let score = sequence["score"].as_f64().expect("a number");
    assert!((sum - score).abs() < 1e-4, "{json}");
}

#[test]
fn bad_schema_is_reported_before_the_model_is_looked_for() {
    for (content, words) in [
        ("{\"type\":", &["not JSON", "line 1"][..]),
        ("3", &["#: a schema is an object", "not a number"]),
        (r#"{"type": "object", "requried": ["a"]}"#, &["\"requried\" is not honoured"]),
        (r#"{"not": {"type": "null"}}"#, &["#: \"not\" is not honoured"]),
        (r#"{"type": "strin"}"#, &["no text can be held to this schema", "strin"]),
    ] {
        let schema = Schema::new(content);
        let words = [&["schema.json: "], words].concat();
        fails(&base("no-such-model/here", &schema.path()), &words);
    }
    fails(&base("no-such-model/here", "no-such-file"), &["cannot read no-such-file"]);
}

#[test]
fn schema_excludes_other_ends_of_the_text() {
    let (model, schema) = (random_tiny(), person());
    let path = schema.path();
    for options in [&["--stop", "x"][..], &["--ignore-eos"]] {
        let args = [&base(&model, &path)[..], options].concat();
        refused(&args, &["--json-schema", "cannot be used with", options[0]]);
    }
    let bare = fixture("llama-gqa");
    fails(&["generate", &bare, "--ids", "1,2", "--json-schema", &path, "--device", "flex"], &["no tokenizer.json"]);
    let stops = copy(&model);
    stops.edit_json("generation_config.json", |fields| {
        fields.insert("stop_strings".into(), json!(["\""]));
    });
    let ran = succeeds(&base(&stops.path(), &path));
    ran.says(&["stop_strings is ignored: --json-schema says where the text ends"]);
    assert!(is_person(&serde_json::from_str(&ran.stdout).expect("JSON")));
}
