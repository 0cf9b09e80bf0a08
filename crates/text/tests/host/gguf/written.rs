//! Folders as keys of a GGUF file, and back.

use std::{fs, path::Path};

use glass_gguf::Metadata;
use glass_testing::{fixtures, tokenizers};
use glass_text::{Tokenizer, TokenizerError, gguf};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{agree, cases, load, metadata};

const WHOLE: &str = "tokenizer.huggingface.json";

fn folder(files: &[(&str, &Value)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, json) in files {
        fs::write(folder.path().join(name), json.to_string()).expect("written");
    }
    folder
}

fn write(folder: &Path, architecture: &str, vocab_size: usize) -> Result<(Metadata, Vec<String>), TokenizerError> {
    let mut metadata = Metadata::new("written.gguf");
    metadata.insert("general.architecture", architecture);
    let warnings = gguf::write_tokenizer(folder, vocab_size, &mut metadata)?;
    Ok((metadata, warnings))
}

fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[ -~]{0,8}",
        "[ \\n\\t]{1,5}",
        "[0-9]{1,6}",
        "\\PC{0,4}",
        "[가-힣ぁ-ん一-龥éüß▁]{1,4}",
        prop::sample::select(vec![
            "<s>",
            "</s>",
            "<unk>",
            "<|endoftext|>",
            "<think>",
            "\n\n",
            "'s",
            " the ",
            "e\u{301}",
            "😀"
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn same(a: &Tokenizer, b: &Tokenizer, name: &str) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&any_text(), |text| {
        prop_assert!(agree(a, b, &text), "{} {:?}", name, text);
        Ok(())
    });
    result.expect("the same ids and texts");
}

/// What a folder becomes gives its ids for any text; `whole`: llama.cpp's words do not say all.
fn there_and_back(folder: &Path, name: &str, architecture: &str, whole: bool) {
    let tokenizer = Tokenizer::from_folder(folder).expect("sound").expect("a tokenizer");
    let (metadata, warnings) = write(folder, architecture, tokenizer.vocab_size() + 3).expect(name);
    assert_eq!(metadata.get(WHOLE).is_some(), whole, "{name} {warnings:?}");
    assert_eq!(warnings.len(), usize::from(whole), "{name} {warnings:?}");
    same(&tokenizer, &load(&metadata), name);
    // What is not said is said to be so, and the rest is right.
    let mut words = metadata;
    words.remove(WHOLE);
    let words = load(&words);
    let text = if name == "recall-full" { "개가" } else { "the end" };
    assert_eq!(tokenizer.encode(text, false), words.encode(text, false), "{name}");
}

#[test]
fn every_kind_goes_there_and_back() {
    for case in cases() {
        let file = metadata(&case["keys"]);
        let json = gguf::tokenizer_json(&file).expect("sound").expect("there");
        let config = gguf::tokenizer_config_json(&file).expect("sound");
        let folder = folder(&[("tokenizer.json", &json), ("tokenizer_config.json", &config)]);
        let architecture = case["keys"]["general.architecture"].as_str().expect("a text");
        there_and_back(folder.path(), case["name"].as_str().expect("a name"), architecture, false);
        // The keys come back too.
        let (written, _) =
            write(folder.path(), architecture, file.strings("tokenizer.ggml.tokens").unwrap().unwrap().len()).unwrap();
        for key in ["model", "pre", "tokens", "merges", "add_bos_token", "bos_token_id", "eos_token_id"] {
            let key = format!("tokenizer.ggml.{key}");
            if file.get(&key).is_some() && !(key.ends_with("tokens") && architecture.starts_with("gemma")) {
                assert_eq!(written.get(&key), file.get(&key), "{} {key}", case["name"]);
            }
        }
    }
}

#[test]
fn what_cannot_be_said_is_written_whole() {
    let mut strip = tokenizers::byte_level();
    strip["added_tokens"][0]["lstrip"] = true.into();
    let mut always = tokenizers::byte_fallback(true);
    always["normalizer"] = Value::Null;
    always["pre_tokenizer"] =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false});
    let mut incomplete = tokenizers::byte_fallback(true);
    incomplete["model"]["merges"] = json!([["h", "e"], ["▁", "t"], ["▁t", "he"]]);
    let character = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, " ": 1, "t": 2, "h": 3, "e": 4, "n": 5, "d": 6}, "merges": []},
    });
    for (name, json) in
        [("strip", &strip), ("always", &always), ("incomplete", &incomplete), ("characters", &character)]
    {
        let folder = folder(&[("tokenizer.json", json)]);
        there_and_back(folder.path(), name, "llama", true);
    }
    let folder = folder(&[("tokenizer.json", &tokenizers::byte_level())]);
    there_and_back(folder.path(), "byte level", "llama", false);
}

#[test]
fn models_of_this_repository_go_there_and_back() {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../weights");
    for name in ["random-tiny", "recall-full", "shakespeare-full"] {
        there_and_back(&weights.join(name), name, "llama", true);
    }
}

#[test]
fn real_folders_go_there_and_back() {
    // The last has a normalizer that puts the space in front, and no class of transformers that does without.
    for (name, whole) in [("gpt2", false), ("mistral-v0.3", false), ("tinyllama", false), ("stories260K-hf", true)] {
        if let Some(folder) = fixtures::real(name) {
            there_and_back(&folder, name, "llama", whole);
        }
    }
}

#[test]
fn rows_without_tokens_are_filled_and_tokens_without_rows_left_out() {
    let folder = folder(&[("tokenizer.json", &tokenizers::byte_level())]);
    let size = 262;
    let (more, warnings) = write(folder.path(), "llama", size + 2).expect("written");
    assert_eq!(warnings, [""; 0]);
    let tokens = more.strings("tokenizer.ggml.tokens").unwrap().unwrap();
    assert_eq!((tokens.len(), tokens.get(size), tokens.get(size + 1)), (264, Some("[PAD262]"), Some("[PAD263]")));
    assert_eq!(load(&more).vocab_size(), size);
    let (less, warnings) = write(folder.path(), "llama", size - 1).expect("written");
    assert!(matches!(&warnings[..], [one] if one.contains("1 tokens")), "{warnings:?}");
    assert_eq!(less.strings("tokenizer.ggml.tokens").unwrap().unwrap().len(), size - 1);
}

#[test]
fn what_has_no_words_is_refused() {
    let mut words = tokenizers::byte_level();
    words["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "[a-z]+"}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]});
    for json in [words, tokenizers::char_level("abc")] {
        let folder = folder(&[("tokenizer.json", &json)]);
        let error = write(folder.path(), "llama", 300).expect_err("refused");
        assert!(matches!(error, TokenizerError::Unwritable { .. }), "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    let (none, _) = write(folder(&[]).path(), "llama", 300).expect("written");
    assert!(Tokenizer::from_gguf(&none).expect("sound").is_none());
}
