//! The models of `weights/`: they have learned their text, and the windowed one has no end.

use std::{fs, path::Path};

use crate::{
    models::shipped,
    run::{succeeds, text},
};

/// Nobody's text, in the manner of the one that the models know.
const SPEECH: &str = "KING:\nMy lord, the morning comes with heavy news:\nThe men that stood upon the northern wall\nAre \
                      fled by night, and with them all our hope.\n\nQUEEN:\nThen let us bear it as we bore the rest.\n";

fn mean_nll(model: &str, file: &Path, options: &[&str]) -> f64 {
    let file = text(file);
    let mut args = vec!["eval", "perplexity", model, "--text", &file, "--device", "flex", "--json"];
    args.extend(options);
    let json = succeeds(&args).json();
    json["mean_nll"].as_f64().expect("a number")
}

#[test]
fn they_have_learned_the_language_of_their_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("speech.txt");
    fs::write(&file, SPEECH).expect("a file");
    for name in ["shakespeare-full", "shakespeare-window"] {
        let nll = mean_nll(&shipped(name), &file, &["--window", "256"]);
        // A character costs ln 66 = 4.2 if all are alike, and 3.3 if only their frequency is known.
        assert!(nll < 2.0, "{name}: {nll}");
    }
}

/// Whatever the window has never seen together does not matter: a long text in one piece is predicted as well as in
/// pieces of the length that the models were trained with, and better, because fewer characters stand at a beginning.
#[test]
fn only_the_windowed_model_reads_on_beyond_what_it_was_trained_with() {
    let model = shipped("shakespeare-window");
    let written = succeeds(&[
        "generate",
        &model,
        "-p",
        "ROMEO:\n",
        "-n",
        "1500",
        "--temperature",
        "1",
        "--seed",
        "3",
        "--device",
        "flex",
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("written.txt");
    fs::write(&file, &written.stdout).expect("a file");
    let in_one = mean_nll(&model, &file, &["--window", "1500"]);
    let in_pieces = mean_nll(&model, &file, &["--window", "256"]);
    assert!(in_one < in_pieces + 0.01, "{in_one} {in_pieces}");

    let full = shipped("shakespeare-full");
    let in_one = mean_nll(&full, &file, &["--window", "1500"]);
    let in_pieces = mean_nll(&full, &file, &["--window", "256"]);
    assert!(in_one > in_pieces + 0.1, "{in_one} {in_pieces}");
}

/// Shares of 50 needles found by this model at the beginning of texts of these two lengths.
fn found(name: &str, lengths: &str) -> [f64; 2] {
    let model = shipped(name);
    let mut args = vec!["eval", "needle", &model, "--length", lengths, "--depth", "0"];
    args.extend(["--trials", "50", "--device", "flex", "--json"]);
    let json = succeeds(&args).json();
    [0, 1].map(|cell| {
        let found = &json["runs"][0]["cells"][cell]["found"];
        found.as_f64().expect("a share")
    })
}

/// The lesson of docs/recall.md.
#[test]
fn a_window_alone_loses_the_needle_that_a_full_layer_finds() {
    let [near, far] = found("recall-window", "24,48");
    assert!(near > 0.7 && far == 0.0, "window: {near}, {far}");
    let [near, far] = found("recall-alternating", "24,48");
    assert!(near > 0.7 && far > 0.6, "alternating: {near}, {far}");
}

/// The lesson of docs/beyond-attention.md.
#[test]
fn recall_fades_in_a_state_and_ends_with_a_window() {
    let [near, far] = found("recall-mamba", "16,24");
    assert!(near > 0.8 && (0.2..0.7).contains(&far), "mamba: {near}, {far}");
    let [near, far] = found("recall-samba", "22,24");
    assert!(near > 0.8 && far < 0.1, "samba: {near}, {far}");
    let [near, far] = found("recall-retnet", "16,24");
    assert!(near < 0.1 && far < 0.1, "retnet: {near}, {far}");
}
