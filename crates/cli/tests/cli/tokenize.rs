//! `glass tokenize`.

use std::fs;

use serde_json::{Value, json};

use crate::{
    models::{random_tiny, shipped},
    run::{fails, succeeds},
};

/// Of each token: its id, piece, first character and the one behind the last.
fn tokens(args: &[&str]) -> Vec<(u64, String, Option<u64>, Option<u64>)> {
    let report = succeeds(&[&["tokenize"][..], args, &["--json"][..]].concat()).json();
    let tokens = report["tokens"].as_array().expect("tokens").clone();
    assert_eq!(report["count"], tokens.len());
    let row = |token: &Value| {
        let piece = token["piece"].as_str().unwrap_or_default().to_owned();
        (token["id"].as_u64().expect("an id"), piece, token["start"].as_u64(), token["end"].as_u64())
    };
    tokens.iter().map(row).collect()
}

#[test]
fn tokens_have_ids_pieces_and_places() {
    let model = random_tiny();
    let all = tokens(&[&model, "-p", "hi"]);
    let pieces: Vec<&str> = all.iter().map(|(_, piece, ..)| piece.as_str()).collect();
    assert!(pieces.concat().ends_with("hi"), "{pieces:?}");
    assert_eq!(all.last().expect("a token").3, Some(2));
    // The text as an argument, and the file alone.
    assert_eq!(tokens(&[&model, "hi"]), all);
    let file = format!("{model}/tokenizer.json");
    assert_eq!(tokens(&[&file, "-p", "hi"]).last(), all.last());
    // By ids, there is no place.
    let id = all.last().expect("a token").0.to_string();
    let by_id = tokens(&[&model, "--ids", &id]);
    assert_eq!((by_id.len(), by_id[0].2), (1, None));
}

#[test]
fn the_built_in_model_is_the_default() {
    let run = succeeds(&["tokenize", "-p", "ROMEO:"]);
    assert_eq!(run.stdout.lines().count(), 7, "{}", run.stdout);
    assert!(run.stderr.contains("6 tokens for 6 characters"), "{}", run.stderr);
}

/// Their family's class in transformers has bytes, and would read nothing.
#[test]
fn the_recall_models_have_their_own_characters() {
    for name in ["recall-full", "recall-window", "recall-alternating"] {
        let run = succeeds(&["tokenize", &shipped(name), "-p", "으러대"]);
        assert!(run.stderr.contains("3 tokens for 3 characters"), "{name}: {}", run.stderr);
    }
}

#[test]
fn characters_without_a_token_are_counted() {
    let run = succeeds(&["tokenize", "-p", "né 五五!"]);
    assert!(run.stderr.contains("warning: 3 characters of the text are not in the vocabulary"), "{}", run.stderr);
}

#[test]
fn chat_shows_the_template() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokenizer = fs::read(format!("{}/tokenizer.json", random_tiny())).expect("a tokenizer");
    fs::write(folder.path().join("tokenizer.json"), tokenizer).expect("written");
    fs::write(folder.path().join("config.json"), "{}").expect("written");
    fs::write(folder.path().join("chat_template.jinja"), "{{ 'a%sb' % messages[0].content }}").expect("written");
    let model = folder.path().display().to_string();
    let report = succeeds(&["tokenize", &model, "--chat", "-p", "hi", "--json"]).json();
    assert_eq!(report["text"], json!("ahib"));
    let file = format!("{model}/tokenizer.json");
    fails(&["tokenize", &file, "--chat", "-p", "hi"], &["--chat needs a model with a chat template"]);
}

#[test]
fn ids_that_the_tokenizer_does_not_have_are_named() {
    for ids in ["66", "1,4294967295"] {
        let id = ids.rsplit(',').next().expect("an id");
        crate::run::fails(&["tokenize", "--ids", ids], &["no token", id]);
    }
}
