//! `glass` alone, its help, and what is no command.

use crate::{
    models::random_tiny,
    run::{refused, succeeds},
};

#[test]
fn alone_it_runs_the_built_in_model() {
    let ran = succeeds::<&str>(&[]);
    ran.says(&[
        "glass: shakespeare-window (2.9 M parameters",
        "tokens/s",
        ", on ",
        "600 new ones",
        "glass generate",
    ]);
    // English has these words, and noise of 66 characters has none.
    let words: Vec<&str> = ran.stdout.split(|c: char| !c.is_alphabetic()).collect();
    for word in ["the", "and", "to"] {
        assert!(words.contains(&word), "{word}: {ran:?}");
    }
}

#[test]
fn help_and_version() {
    let help = succeeds(&["--help"]).stdout;
    for command in [
        "generate", "logits", "info", "convert", "train", "eval", "devices",
    ] {
        assert!(help.contains(command), "{help}");
        assert!(succeeds(&[command, "--help"]).stdout.contains("Usage: "));
    }
    assert!(succeeds(&["--version"]).stdout.starts_with("glass "));
}

#[test]
fn bad_usage_is_refused() {
    let model = &random_tiny();
    refused(&["fly"], &["unrecognized subcommand 'fly'"]);
    refused(&["generate"], &["<MODEL>"]);
    refused(&["generate", model, "--colour"], &["--colour"]);
    let both = ["generate", model, "-p", "hi", "--ids", "1"];
    refused(&both, &["--prompt", "cannot be used with", "--ids"]);
    refused(
        &["generate", model, "--ids", "1,x"],
        &["\"x\" is not a token id"],
    );
    refused(&["generate", model, "--ids", ""], &["is not a token id"]);
    refused(
        &["generate", model, "-p", "hi", "-n", "many"],
        &["--max-new-tokens", "many"],
    );
    refused(&["generate", model, "-p", "hi", "--seed", "-1"], &["-1"]);
    refused(
        &["generate", model, "-p", "hi", "--dtype", "f64"],
        &["\"f64\"", "f32, f16 or bf16"],
    );
    for (option, value, part) in [
        ("--logit-bias", "7", "not of the form ID=BIAS"),
        ("--logit-bias", "x=1", "\"x\" is not a token id"),
        ("--logit-bias", "7=inf", "\"inf\" is not a finite number"),
        ("--no-repeat-ngram-size", "many", "many"),
        ("--logprobs", "few", "few"),
        ("--prompt-lookup", "0", "not a whole number from 1 to 1024"),
        (
            "--prompt-lookup",
            "1025",
            "not a whole number from 1 to 1024",
        ),
    ] {
        refused(
            &["generate", model, "-p", "hi", option, value],
            &[option, part],
        );
    }
    refused(
        &["logits", model, "-o", "x"],
        &["--ids", "--ids-file", "--prompt"],
    );
    refused(&["logits", model, "--ids", "1"], &["--output"]);
    refused(&["convert", model], &["--output"]);
    refused(
        &["convert", model, "-o", "x", "--max-shard-size", "5 apples"],
        &["\"5 apples\" is not a size", "5GB, 1.5GiB or 500MB"],
    );
    refused(
        &[
            "logits",
            model,
            "--ids",
            "1",
            "-o",
            "x",
            "--capture",
            "thoughts",
        ],
        &["thoughts", "hidden, attention"],
    );
}
