//! `glass logits` with input or output that cannot be: one line, and nothing half-written.

use std::fs;

use crate::{
    models::{WEIGHTS, copy, fixture},
    run::{fails, text},
};

/// What a file of ids with this content is answered with.
fn file(content: impl AsRef<[u8]>, words: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("input.json");
    fs::write(&input, content).expect("written");
    let out = folder.path().join("out.safetensors");
    let words = [&["input.json"], words].concat();
    fails(
        &["logits", &fixture("llama-gqa"), "--ids-file", &text(&input), "--device", "flex", "-o", &text(&out)],
        &words,
    );
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
}

#[test]
fn not_a_batch() {
    file("", &["not JSON"]);
    file("1,2,3", &["not JSON"]);
    file("[[1, 2]]", &["input_ids"]);
    file("{}", &["input_ids is missing"]);
    file(r#"{"input_ids": null}"#, &["input_ids is missing"]);
    file(r#"{"input_ids": [[1]], "position_ids": [[0]]}"#, &["position_ids", "not known"]);
    file(b"\xff\xfe", &["UTF-8"]);
}

#[test]
fn ids_that_are_no_rows() {
    file(r#"{"input_ids": []}"#, &["input_ids is empty"]);
    file(r#"{"input_ids": [[]]}"#, &["input_ids is empty"]);
    file(r#"{"input_ids": [[1, 2], []]}"#, &["differ in length"]);
    file(r#"{"input_ids": [[1, 2], [3]]}"#, &["differ in length", "attention_mask"]);
    for ids in ["[1, 2]", "[[-1]]", "[[1.5]]", "[[\"a\"]]", "[[4294967296]]", "7"] {
        file(format!(r#"{{"input_ids": {ids}}}"#), &["input_ids", "whole numbers"]);
    }
}

#[test]
fn masks_that_do_not_fit() {
    let with = |mask: &str, words: &[&str]| {
        let batch = format!(r#"{{"input_ids": [[1, 2], [3, 4]], "attention_mask": {mask}}}"#);
        file(batch, &[&["attention_mask"], words].concat());
    };
    with("[[1, 1]]", &["2 x 2"]);
    with("[[1, 1], [1]]", &["2 x 2"]);
    with("[[1, 1, 1], [1, 1, 1]]", &["2 x 2"]);
    with("[[1, 1], [0, 2]]", &["0 and 1"]);
    with("[[1, 1], [0, 0]]", &["row 1", "no token"]);
    with("[[true, true], [true, true]]", &["whole numbers"]);
    with("[1, 1]", &["whole numbers"]);
}

#[test]
fn ids_of_another_vocabulary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = text(&folder.path().join("out"));
    fails(&["logits", &fixture("llama-gqa"), "--ids", "1,128", "--device", "flex", "-o", &out], &["128", "vocabulary"]);
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[test]
fn a_file_of_ids_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| text(&folder.path().join(name));
    fails(
        &["logits", &fixture("llama-gqa"), "--ids-file", &path("nothing.json"), "--device", "flex", "-o", &path("out")],
        &["cannot read", "nothing.json"],
    );
}

#[test]
fn no_place_to_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = &fixture("llama-gqa");
    let to = |out: &str, words: &[&str]| {
        fails(&["logits", model, "--ids", "1", "--device", "flex", "-o", out], words);
    };
    let missing = text(&folder.path().join("missing/out"));
    to(&missing, &[&missing, "folder does not exist"]);
    let itself = text(folder.path());
    to(&itself, &[&itself, "is a folder"]);
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    to(&text(&file.join("out")), &["folder does not exist"]);
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
}

#[test]
fn a_failure_leaves_an_earlier_file_alone() {
    let model = copy(&fixture("llama-gqa"));
    model.truncate(WEIGHTS, 1000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    fs::write(&out, "something older").expect("written");
    fails(&["logits", &model.path(), "--ids", "1", "--device", "flex", "--force", "-o", &text(&out)], &[WEIGHTS]);
    assert_eq!(fs::read(&out).expect("readable"), b"something older");
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
}
