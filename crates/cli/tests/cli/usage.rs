//! `glass` without a command, its help, and what it refuses.

use crate::{
    models::random_tiny,
    run::{command, fails, refused, run, succeeds},
};

#[test]
fn built_in_model_runs_without_a_command() {
    let ran = succeeds::<&str>(&[]);
    ran.says(&["glass: shakespeare-window (2.9 M parameters", "tokens/s", ", on ", "600 new ones", "glass generate"]);
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
        "generate", "batch", "search", "chat", "logits", "info", "convert", "quantize", "train", "eval", "bench",
        "devices",
    ] {
        assert!(help.contains(command), "{help}");
        assert!(succeeds(&[command, "--help"]).stdout.contains("Usage: "));
    }
    assert!(succeeds(&["--version"]).stdout.starts_with("glass "));
}

#[test]
fn bad_arguments_are_refused() {
    let model = &random_tiny();
    refused(&["fly"], &["unrecognized subcommand 'fly'"]);
    refused(&["info"], &["<MODEL>"]);
    refused(&["generate", model, "--colour"], &["--colour"]);
    let both = ["generate", model, "-p", "hi", "--ids", "1"];
    refused(&both, &["--prompt", "cannot be used with", "--ids"]);
    refused(&["generate", model, "--ids", "1,x"], &["\"x\" is not a token id"]);
    for ids in ["", "1,,2", "1,-2", "1,2.5", "1,4294967296"] {
        refused(&["generate", model, "--ids", ids], &["is not a token id"]);
    }
    refused(&["generate", model, "--ids", "4294967297"], &["is not a token id (a whole number from 0 to 4294967295)"]);
    refused(&["serve", model, "--port", "99999"], &["give a whole number from 0 to 65535"]);
    refused(&["serve", model, "--port", "x"], &["give a whole number from 0 on"]);
    let beyond = "18446744073709551616";
    refused(&["generate", model, "-p", "hi", "--seed", beyond], &["from 0 to 18446744073709551615"]);
    refused(&["search", model, "-p", "hi", "--num-beams", beyond], &["from 1 to 18446744073709551615"]);
    refused(&["generate", model, "-p", "hi", "-n", "many"], &["--max-new-tokens", "many"]);
    refused(&["generate", model, "-p", "hi", "--seed", "-1"], &["-1"]);
    refused(&["generate", model, "-p", "hi", "--dtype", "f64"], &["\"f64\"", "f32, f16, bf16, q8 or q4"]);
    // What had another name.
    refused(&["generate", model, "-p", "hi", "--quantize", "4"], &["use --dtype q4"]);
    refused(&["quantize", model, "--bits", "8", "-o", "x"], &["use --dtype q8"]);
    refused(&["convert", model, "--dtype", "q4", "-o", "x"], &["f32, f16 or bf16", "`glass quantize --dtype q4`"]);
    for (option, value, part) in [
        ("--logit-bias", "7", "not of the form ID=BIAS"),
        ("--logit-bias", "x=1", "\"x\" is not a token id"),
        ("--logit-bias", "", "not of the form ID=BIAS"),
        ("--logit-bias", "=1", "\"\" is not a token id"),
        ("--logit-bias", "7=", "\"\" is not a finite number"),
        ("--logit-bias", "7=x", "\"x\" is not a finite number"),
        ("--logit-bias", "7=inf", "\"inf\" is not a finite number"),
        ("--logit-bias", "7=nan", "\"nan\" is not a finite number"),
        ("--logit-bias", "7=1e39", "\"1e39\" is not a finite number"),
        ("--no-repeat-ngram-size", "many", "many"),
        ("--logprobs", "few", "few"),
        ("--prompt-lookup", "0", "not a whole number from 1 to 1024"),
        ("--prompt-lookup", "1025", "not a whole number from 1 to 1024"),
    ] {
        refused(&["generate", model, "-p", "hi", option, value], &[option, part]);
    }
    refused(&["logits", model, "-o", "x"], &["--ids", "--ids-file", "--prompt"]);
    refused(&["logits", model, "--ids", "1"], &["--output"]);
    refused(&["convert", model], &["--output"]);
    refused(
        &["convert", model, "-o", "x", "--max-shard-size", "5 apples"],
        &["\"5 apples\" is not a size", "5GB, 1.5GiB or 500MB"],
    );
    for name in ["messages", "tools", "documents", "add_generation_prompt"] {
        let variables = format!("{{\"{name}\": false}}");
        refused(&["chat", model, "--chat-template-kwargs", &variables], &[name, "leave it out"]);
    }
    let large = r#"{"x": 18446744073709551616}"#;
    refused(&["chat", model, "--chat-template-kwargs", large], &["the integer 18446744073709551616", "as a text"]);
    let two = ["--cache-dtype", "q8", "--cache", "dtype=f16"];
    fails(&[&["generate", model, "--ids", "1"], &two[..]].concat(), &["--cache-dtype q8", "--cache dtype=f16"]);
    refused(&["logits", model, "--ids", "1", "-o", "x", "--capture", "thoughts"], &["thoughts", "hidden, attention"]);
}

/// An option of another command: the error names the command that has it.
#[test]
fn option_of_another_command_gets_a_tip() {
    for (name, options, right) in [
        ("generate", &["--num-beams", "4"][..], &["search"][..]),
        ("generate", &["--exhaustive"], &["search"]),
        ("generate", &["--length-penalty", "2"], &["search"]),
        ("generate", &["--early-stopping", "true"], &["search"]),
        ("generate", &["--num-return-sequences", "2"], &["search"]),
        ("generate", &["--batch", "2"], &["batch"]),
        ("generate", &["-o", "out.jsonl"], &["batch"]),
        ("generate", &["--json-schema", "x", "--num-beams", "2"], &["search"]),
        ("batch", &["--num-beams", "2"], &["search"]),
        ("batch", &["--exhaustive"], &["search"]),
        ("batch", &["--json"], &["generate", "search"]),
        ("batch", &["--json-schema", "x"], &["generate"]),
        ("batch", &["--prompt-lookup", "2"], &["generate"]),
        ("batch", &["-p", "hi"], &["generate", "search"]),
        ("search", &["--temperature", "0.8"], &["generate", "batch", "chat"]),
        ("search", &["--top-k", "3"], &["generate", "batch", "chat"]),
        ("search", &["--top-p", "0.5"], &["generate", "batch", "chat"]),
        ("search", &["--min-p", "0.5"], &["generate", "batch", "chat"]),
        ("search", &["--typical-p", "0.5"], &["generate", "batch", "chat"]),
        ("search", &["--seed", "1"], &["generate", "batch", "chat"]),
        ("search", &["--stop", "x"], &["generate", "batch", "chat"]),
        ("search", &["--logprobs", "2"], &["generate", "batch"]),
        ("search", &["--prompt-lookup", "2"], &["generate"]),
        ("search", &["--json-schema", "x"], &["generate"]),
        ("chat", &["--num-beams", "2"], &["search"]),
    ] {
        let ran = run(&mut command(&[&[name, "no-such-model"], options].concat()));
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{ran:?}");
        let names: Vec<String> = right.iter().map(|right| format!("`glass {right}`")).collect();
        let names = match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => unreachable!("every option has a command"),
        };
        let tips: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("use `glass")).collect();
        assert_eq!(tips.len(), 1, "{ran:?}");
        assert!(tips[0].starts_with(&format!("  tip: use {names}, which ")), "{ran:?}");
    }
}

#[test]
fn option_of_no_command_gets_no_tip() {
    for args in [["generate", "--colour"], ["info", "--num-beams"]] {
        let ran = run(&mut command(&[args[0], "no-such-model", args[1]]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(!ran.stderr.contains("use `glass"), "{ran:?}");
    }
}

#[test]
fn required_arguments_are_named() {
    refused(&["batch", "no-such-model"], &["--prompts <FILE>"]);
    refused(&["batch", "no-such-model", "--prompts", "x", "--batch", "0"], &["--batch"]);
    refused(&["search"], &["<MODEL>"]);
}
