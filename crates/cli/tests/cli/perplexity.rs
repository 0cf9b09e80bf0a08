//! `glass eval perplexity`

use std::fs;

use glass_testing::fixtures;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    models::{copy, fixture, random_tiny},
    run::{Ran, command, fails, refused, run, succeeds, text},
};

/// A file with this text, for as long as the folder is kept.
fn file(content: impl AsRef<[u8]>) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("some.txt");
    fs::write(&path, content).expect("written");
    (folder, text(&path))
}

fn args<'a>(model: &'a str, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["eval", "perplexity", model, "--text", file, "--device", "flex"];
    [&fixed, more].concat()
}

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()
}

fn number(json: &Value, name: &str) -> f64 {
    json[name].as_f64().unwrap_or_else(|| panic!("{name} in {json}"))
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} is not {b}");
}

#[test]
fn the_fields_of_json_agree() {
    // Characters are tokens of this model, and BOS is in front, so that each letter is scored.
    let content = "To be, or not to be:\nthat is the question.\n";
    let (_folder, file) = file(content);
    let model = random_tiny();
    let json = json(&succeeds(&args(&model, &file, &["--json", "--window", "10"])));
    assert_eq!(json["tokens"], content.len());
    assert_eq!(json["bytes"], content.len());
    assert_eq!(json["window"], 10);
    assert_eq!(json["stride"], 10);
    assert_eq!(json["interrupted"], false);
    assert_eq!(json["device"], "flex");
    assert_eq!(json["dtype"], "bf16");
    let mean = number(&json, "mean_nll");
    // A model of noise guesses about as badly as chance among its 99 tokens.
    assert!((3.0..8.0).contains(&mean), "{mean}");
    close(number(&json, "perplexity"), mean.exp());
    close(number(&json, "nll_per_byte"), mean);
    close(number(&json, "bits_per_byte"), mean / 2f64.ln());
    let speed = number(&json, "tokens") / number(&json, "seconds");
    close(number(&json, "tokens_per_second"), speed);
}

#[test]
fn the_table_has_the_same_numbers() {
    let (_folder, file) = file("To be, or not to be");
    let model = random_tiny();
    let options = ["--window", "8", "--stride", "3", "--max-tokens", "12"];
    let json = json(&succeeds(&args(&model, &file, &[&options[..], &["--json"]].concat())));
    let ran = succeeds(&args(&model, &file, &options));
    let rows: Vec<(&str, &str)> = ran
        .stdout
        .lines()
        .map(|line| {
            let (name, value) = line.split_at(22);
            (name.trim(), value.trim())
        })
        .collect();
    let six = |name: &str| format!("{:.6}", number(&json, name));
    let expected = [
        ("perplexity", six("perplexity")),
        ("nats per token", six("mean_nll")),
        ("nats per byte", six("nll_per_byte")),
        ("bits per byte", six("bits_per_byte")),
        ("tokens scored", "12 of 12, 12 bytes".into()),
        ("windows", "8 tokens, one every 3".into()),
    ];
    let expected = expected.each_ref().map(|(name, value)| (*name, &**value));
    assert_eq!(rows, expected);
    ran.says(&["glass: 12 tokens at ", "device flex, bf16"]);
}

#[test]
fn windows_overlap_by_the_stride_and_end_at_the_context() {
    let (_folder, file) = file("the quick brown fox jumps over the lazy dog\n".repeat(40));
    let model = random_tiny();
    let of = |options: &[&str]| {
        let ran = succeeds(&args(&model, &file, &[options, &["--json"]].concat()));
        let json = json(&ran);
        assert_eq!(json["tokens"], 40 * 44);
        (json, ran.stderr)
    };
    let (default, said) = of(&[]);
    // The context of this model.
    assert_eq!((&default["window"], &default["stride"]), (&1024.into(), &1024.into()));
    assert!(!said.contains("warning"), "{said}");
    let mean = |json: &Value| number(json, "mean_nll");
    assert_eq!(mean(&of(&["--stride", "1024"]).0), mean(&default));
    assert_ne!(mean(&of(&["--window", "7"]).0), mean(&of(&["--window", "7", "--stride", "2"]).0));

    let (_, said) = of(&["--window", "1500"]);
    assert!(
        said.contains("glass: warning: windows of 1500 tokens are 476 more than the model's context of 1024"),
        "{said}"
    );
    // A window that the text does not fill is no matter.
    let ran = succeeds(&args(&model, &file, &["--window", "1500", "--max-tokens", "1000"]));
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
    // A config that says more has a longer default, up to a limit.
    let (longer, _) = of(&["--set", "max_position_embeddings=100000"]);
    assert_eq!(longer["window"], 2048);
}

#[test]
fn what_cannot_be_scored_is_refused_in_one_line() {
    let model = &random_tiny();
    let (folder, good) = file("some text");
    let missing = text(&folder.path().join("none.txt"));
    fails(&args(model, &missing, &[]), &["cannot read", &missing]);
    fails(&args(model, &text(folder.path()), &[]), &["cannot read"]);
    let (_empty, empty) = file("");
    fails(&args(model, &empty, &[]), &[&empty, "an empty file"]);
    let (_latin, latin) = file(b"caf\xe9 au lait");
    fails(&args(model, &latin, &[]), &[&latin, "not UTF-8", "from byte 3 on"]);

    // Refused before the text or the model is looked for.
    let stride = ["--window", "5", "--stride", "6"];
    fails(&args("/nothing/here", &missing, &stride), &["a stride of 6", "windows of 5"]);
    // This one needs the model's context.
    fails(&args(model, &good, &["--stride", "2000"]), &["a stride of 2000", "1024"]);
    for option in ["--window", "--stride", "--max-tokens"] {
        refused(&args(model, &good, &[option, "0"]), &[option, "from 1 on"]);
        refused(&args(model, &good, &[option, "-1"]), &["-1"]);
    }
    let ran = run(&mut command(&["eval"]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    ran.says(&["Usage: ", "perplexity"]);
    refused(&["eval", "perplexity", model], &["--text"]);

    let ids_only = fixture("llama-gqa");
    fails(&args(&ids_only, &good, &[]), &["llama-gqa", "no tokenizer.json", "add it"]);
}

#[test]
fn one_token_is_too_few() {
    let copy = copy(&random_tiny());
    let (_folder, file) = file("a");
    let with_bos = json(&succeeds(&args(&copy.path(), &file, &["--json"])));
    assert_eq!(with_bos["tokens"], 1);
    copy.edit_json("tokenizer.json", |fields| {
        fields.insert("post_processor".into(), Value::Null);
    });
    fails(&args(&copy.path(), &file, &[]), &["the text has 1 token:", "two or more"]);
}

#[test]
fn likelihoods_that_are_no_numbers_are_an_error() {
    let copy = copy(&random_tiny());
    copy.edit_weights(|tensors| {
        let norm = tensors.get_mut("model.norm.weight").expect("a norm");
        norm.bytes.fill(0xFF); // NaN in every float type
    });
    let (_folder, file) = file("some text");
    fails(&args(&copy.path(), &file, &[]), &["token 2 of the text", "NaN", "damaged"]);
}

/// A trained model against `transformers`.
#[test]
fn stories260k_is_scored_as_by_the_reference() {
    let Some(folder) = fixtures::real("stories260K-hf") else {
        return;
    };
    let model = text(&folder);
    let file = text(&folder.join("nll_text.txt"));
    let reference = fs::read(folder.join("nll.json")).expect("readable");
    let reference: Value = serde_json::from_slice(&reference).expect("JSON");
    for device in ["flex", "ndarray"] {
        for (name, options) in [
            ("first_512_one_window", ["--window", "512", "--max-tokens", "512"]),
            ("all_chunks_of_256_no_overlap", ["--window", "256", "--stride", "256"]),
        ] {
            let common = ["eval", "perplexity", &model, "--text", &file, "--json"];
            let ran = succeeds(&[&common[..], &["--device", device], &options].concat());
            let (json, expected) = (json(&ran), &reference[name]);
            assert_eq!(json["tokens"], expected["tokens_scored"], "{name}");
            for (field, theirs) in [("mean_nll", "mean_nll_f64"), ("perplexity", "ppl_f64")] {
                // Float32 there is 3e-8 off the mean in float64.
                let off = (number(&json, field) - number(expected, theirs)).abs();
                assert!(off <= 2e-6, "{name}, {field} on {device}: {off}");
            }
        }
    }
}
