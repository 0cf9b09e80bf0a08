//! The options of `glass generate` that say how tokens are drawn.

use crate::{
    generate::{sequence, tiny},
    models::{copy, fixture, random_tiny},
    run::{command, fails, run, succeeds},
};

#[test]
fn sampling_options_have_their_range() {
    let model = fixture("llama-gqa");
    for (option, name) in [
        ("--temperature=-1", "temperature = -1"),
        ("--temperature=nan", "temperature = NaN"),
        ("--top-p=0", "top_p = 0"),
        ("--top-p=1.5", "top_p = 1.5"),
        ("--min-p=2", "min_p = 2"),
        ("--repetition-penalty=0", "repetition_penalty = 0"),
        ("--typical-p=0", "typical_p = 0"),
        ("--presence-penalty=inf", "presence_penalty = inf"),
        ("--frequency-penalty=nan", "frequency_penalty = NaN"),
    ] {
        fails(&["generate", &model, "--ids", "1", "--device", "flex", option], &[name, "must be"]);
    }
}

#[test]
fn sampling_options_are_judged_before_loading() {
    let broken = copy(&random_tiny());
    broken.truncate("model.safetensors", 100);
    fails(&["generate", &broken.path(), "-p", "hi", "--device", "flex", "--top-p", "2"], &["top_p = 2"]);
}

#[test]
fn sampling_options_without_effect_are_warned_of() {
    let args = ["-p", "hi", "-n", "3", "--temperature", "0", "--typical-p", "0.5", "--seed", "3"];
    tiny(&args).says(&["--typical-p, --seed without effect"]);
    // Alone it asks for chance, as --top-p does.
    let drawn = |seed: &str| sequence(&["-p", "hi", "-n", "40", "--typical-p", "0.9", "--seed", seed]).0;
    assert_ne!(drawn("1"), drawn("2"));
}

#[test]
fn biases_force_and_forbid_tokens() {
    let greedy = ["-p", "to be", "-n", "4", "--temperature", "0", "--ignore-eos"];
    let ids = |biases: &[&str]| sequence(&[&greedy, biases].concat()).0;
    let plain = ids(&[]);
    assert_eq!(ids(&["--logit-bias", "7=1000"]), [7; 4]);
    assert_eq!(ids(&["--logit-bias", "7=-1000"]), ids(&["--logit-bias", "7=-inf"]));
    let first = format!("{}=-inf", plain[0]);
    assert!(!ids(&["--logit-bias", &first]).contains(&plain[0]));
}

#[test]
fn bias_beyond_the_vocabulary_is_refused() {
    let model = fixture("llama-gqa");
    fails(
        &["generate", &model, "--ids", "1", "--device", "flex", "--logit-bias", "128=1"],
        &["a bias for token 128", "the vocabulary has 128 tokens"],
    );
}

#[test]
fn two_biases_of_one_token_are_refused() {
    let model = fixture("llama-gqa");
    let biases = ["--logit-bias", "3=1", "--logit-bias", "4=1", "--logit-bias", "3=5"];
    for command in ["generate", "search"] {
        let args = [&[command, &model, "--ids", "1", "--device", "flex"][..], &biases].concat();
        fails(&args, &["two biases for token 3: give one"]);
    }
}

#[test]
fn rules_that_look_back_hold_without_chance() {
    let model = fixture("llama-gqa");
    let ids = |more: &[&str]| {
        let args = [
            "generate",
            &model,
            "--ids",
            "1,2,3",
            "-n",
            "40",
            "--ignore-eos",
            "--json",
            "--device",
            "flex",
            "--temperature",
            "0",
        ];
        let ran = succeeds(&[&args[..], more].concat());
        assert!(!ran.stderr.contains("without effect"), "{ran:?}");
        let ids = ran.json()["sequences"][0]["ids"].clone();
        serde_json::from_value::<Vec<u32>>(ids).expect("ids")
    };
    let plain = ids(&[]);
    let first = plain[0];
    assert!(!ids(&["--logit-bias", &format!("{first}=-inf")]).contains(&first));
    let one = ids(&["--logit-bias", "9=1e6"]);
    assert_eq!(one, [9; 40]);
    let once = ids(&["--no-repeat-ngram-size", "1"]);
    let different: std::collections::HashSet<u32> = once.iter().copied().collect();
    assert!(different.len() == 40 && !once.iter().any(|id| [1, 2, 3].contains(id)));
    // What the prompt says does not count: 1, 2 and 3 may come once.
    let once = ids(&["--presence-penalty", "1e6", "--logit-bias", "2=1e4"]);
    let different: std::collections::HashSet<u32> = once.iter().copied().collect();
    assert!(different.len() == 40 && once[0] == 2, "{once:?}");
    let in_turn = ids(&["--frequency-penalty", "1e6"]);
    assert_ne!(in_turn, plain);
}

/// What was written is given, and why it is no more.
#[test]
fn a_text_without_a_next_token_is_given() {
    let model = random_tiny();
    // The model has fewer tokens than it is asked for.
    let args = ["generate", &model, "--device", "flex", "-p", "x", "-n", "500", "--no-repeat-ngram-size", "1"];
    let args = [&args[..], &["--ignore-eos", "--temperature", "0", "-q"]].concat();
    let ran = run(&mut command(&args));
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{ran:?}");
    assert!(ran.stderr.starts_with("glass: error: no token is left"), "{ran:?}");
    let json = run(&mut command(&[&args[..], &["--json"]].concat()));
    assert_eq!((json.code, &json.stderr), (Some(1), &ran.stderr));
    let sequence = &json.json()["sequences"][0];
    assert_eq!(sequence["finish_reason"], "no_token");
    assert!(sequence["ids"].as_array().is_some_and(|ids| ids.len() > 50), "{sequence}");
    assert_eq!(Some(&*ran.stdout), sequence["text"].as_str().map(|text| format!("{text}\n")).as_deref());
}
