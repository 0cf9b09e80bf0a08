//! Stop strings.

use serde_json::Value;

use crate::{
    models::{copy, fixture, random_tiny},
    run::{fails, succeeds},
};

fn greedy(args: &[&str]) -> Value {
    let model = random_tiny();
    let head = [
        "generate",
        &model,
        "--device",
        "flex",
        "--temperature",
        "0",
        "-p",
        "hi",
        "-n",
        "60",
        "--ignore-eos",
        "--json",
    ];
    succeeds(&[&head[..], args].concat()).json()["sequences"][0].clone()
}

fn text(sequence: &Value) -> &str {
    sequence["text"].as_str().expect("a string")
}

#[test]
fn text_ends_before_the_first_stop_string() {
    let whole = greedy(&[]);
    let whole = text(&whole);
    // Two characters, so that a stop string lies over two tokens.
    let stop = &whole[9..11];
    let at = whole.find(stop).expect("it is there");
    let sequence = greedy(&["--stop", stop]);
    assert_eq!(text(&sequence), &whole[..at]);
    assert_eq!(sequence["finish_reason"], "stop");
    // The token that completed it is the last.
    let ids = sequence["ids"].as_array().expect("a list");
    assert_eq!(ids.len(), at + 2);

    // Of several, the one that comes first.
    let earlier = &whole[3..5];
    let first = at.min(whole.find(earlier).expect("it is there"));
    let sequence = greedy(&["--stop", stop, "--stop", earlier]);
    assert_eq!(text(&sequence), &whole[..first]);
}

#[test]
fn a_stop_string_that_never_comes_changes_nothing() {
    let whole = greedy(&[]);
    // What the text ends with may be the beginning of it: nothing is held back for good.
    let begins = format!("{}~never~", &text(&whole)[58..]);
    let sequence = greedy(&["--stop", &begins]);
    assert_eq!(sequence, whole);
}

#[test]
fn stop_strings_of_generation_config_count_too() {
    let whole = greedy(&[]);
    let stop = text(&whole)[9..11].to_owned();
    let at = text(&whole).find(&stop).expect("it is there");
    let copy = copy(&random_tiny());
    copy.edit_json("generation_config.json", |fields| {
        fields.insert("stop_strings".into(), stop.into());
    });
    let ran = succeeds(&[
        "generate",
        &copy.path(),
        "--device",
        "flex",
        "--temperature",
        "0",
        "-p",
        "hi",
        "-n",
        "60",
        "--ignore-eos",
    ]);
    assert_eq!(ran.stdout, format!("{}\n", &text(&whole)[..at]));
}

#[test]
fn stop_strings_of_generation_config_need_a_tokenizer() {
    let copy = copy(&fixture("llama-gqa"));
    copy.edit_json("generation_config.json", |fields| {
        fields.insert("stop_strings".into(), "a".into());
    });
    let ran = succeeds(&["generate", &copy.path(), "--ids", "1", "-n", "2", "--device", "flex"]);
    ran.says(&["glass: warning: ", "stop_strings", "tokenizer.json"]);
}

#[test]
fn stop_strings_that_cannot_work_are_refused() {
    let model = random_tiny();
    fails(&["generate", &model, "-p", "hi", "--device", "flex", "--stop", ""], &["stop string", "empty"]);
    let model = fixture("llama-gqa");
    fails(
        &["generate", &model, "--ids", "1", "--device", "flex", "--stop", "a"],
        &["--stop", &model, "tokenizer.json"],
    );
}
