//! `glass generate --num-beams` and `--exhaustive`.

use serde_json::{Value, json};

use crate::{
    models::{comma, copy, expected, fixture, random_tiny, shipped},
    run::{fails, refused, succeeds},
};

#[test]
fn beams_are_those_of_the_reference() {
    for (name, variant, eos, options) in [
        ("llama-gqa", "beam", None, &[][..]),
        (
            "llama-gqa",
            "beam_eos.lp0",
            Some(92),
            &["--length-penalty", "0"],
        ),
        (
            "llama-gqa",
            "beam_eos.lp1_early",
            Some(92),
            &["--early-stopping", "true"],
        ),
        (
            "mistral-swa",
            "beam_eos.lp2_never",
            Some(103),
            &["--length-penalty", "2.0", "--early-stopping", "never"],
        ),
    ] {
        let model = copy(&fixture(name));
        model.edit_json("generation_config.json", |fields| {
            fields.insert("eos_token_id".into(), json!(eos));
        });
        let tensors = expected(&fixture(name));
        let prompt = tensors[&format!("{variant}.prompt_ids")].ids();
        let outputs = tensors[&format!("{variant}.output_ids")].rows();
        let scores = tensors[&format!("{variant}.scores")].f32s();
        let path = model.path();
        let prompt_ids = comma(&prompt);
        let mut args = vec!["generate", &path, "--ids", &prompt_ids, "-n", "16"];
        args.extend(["--num-beams", "4", "--num-return-sequences", "4"]);
        args.extend(["--device", "flex", "--json"]);
        args.extend(options);
        if eos.is_none() {
            args.push("--ignore-eos");
        }
        let json = succeeds(&args).json();
        let sequences = json["sequences"].as_array().expect("a list");
        assert_eq!(sequences.len(), 4);
        for ((sequence, output), score) in sequences.iter().zip(&outputs).zip(&scores) {
            let new = &output[prompt.len()..];
            let end = new.iter().position(|id| Some(*id) == eos);
            let new = &new[..end.map_or(new.len(), |end| end + 1)];
            assert_eq!(sequence["ids"], json!(new), "{name} {variant}");
            let found = sequence["score"].as_f64().expect("a number");
            assert!((found - f64::from(*score)).abs() < 1e-4, "{name} {variant}");
        }
        assert_eq!(json["prompt_tokens"], prompt.len());
        assert_eq!(json["interrupted"], false);
    }
}

/// What the makers say about searches holds where one is asked for.
#[test]
fn the_makers_penalty_and_rule_hold_unless_others_are_given() {
    let model = copy(&fixture("llama-gqa"));
    let path = model.path();
    let args = [
        "generate",
        &path,
        "--ids",
        "1,70,39",
        "-n",
        "9",
        "--num-beams",
        "3",
        "--device",
        "flex",
        "--json",
    ];
    let score = |more: &[&str]| {
        let json = succeeds(&[&args[..], more].concat()).json();
        let best = &json["sequences"][0];
        let number = |name: &str| best[name].as_f64().expect("a number");
        let ids = best["ids"].as_array().expect("a list").len() as f64;
        (number("score"), number("log_prob"), ids)
    };
    model.edit_json("generation_config.json", |fields| {
        fields.insert("length_penalty".into(), json!(0.0));
        fields.insert("early_stopping".into(), json!("never"));
    });
    let (theirs, log_prob, _) = score(&[]);
    assert_eq!(theirs, log_prob);
    let (ours, log_prob, length) = score(&["--length-penalty", "1"]);
    assert!((ours - log_prob / length).abs() < 1e-9);
    model.edit_json("generation_config.json", |fields| {
        fields.insert("early_stopping".into(), json!("sometimes"));
    });
    fails(&args, &["early_stopping", "true, false or"]);
}

#[test]
fn the_best_text_is_printed_or_several() {
    let model = shipped("shakespeare-window");
    let args = [
        "generate",
        &model,
        "-p",
        "ROMEO:",
        "-n",
        "30",
        "--num-beams",
        "3",
        "--device",
        "flex",
    ];
    let one = succeeds(&args);
    one.says(&["6 prompt tokens, searched ", "best score "]);
    let json = succeeds(&[&args[..], &["--json"]].concat()).json();
    let text = json["sequences"][0]["text"].as_str().expect("a text");
    assert_eq!(one.stdout, format!("{text}\n"));
    let three = succeeds(&[&args[..], &["--num-return-sequences", "3"]].concat());
    assert!(three.stdout.starts_with(&one.stdout), "{three:?}");
    three.says(&["1 of 3: score -", "3 of 3: score -", "30 tokens (length)"]);
    // More breadth never finds a less probable text here than choosing greedily.
    let greedy = [
        &args[..6],
        &["--temperature", "0", "--json", "--device", "flex"],
    ]
    .concat();
    let greedy = succeeds(&greedy).json();
    let score = |json: &Value, name: &str| json["sequences"][0][name].as_f64().expect("a number");
    assert!(
        score(&json, "log_prob") > score(&greedy, "score"),
        "{json} {greedy}"
    );
}

#[test]
fn an_exhaustive_search_finds_what_beams_may_miss() {
    let model = random_tiny();
    let args = [
        "generate", &model, "-p", "hi", "-n", "2", "--device", "flex", "--json",
    ];
    let all = succeeds(&[&args[..], &["--exhaustive", "--num-return-sequences", "5"]].concat());
    let all = all.json();
    let wide = [
        "--num-beams",
        "99",
        "--early-stopping",
        "never",
        "--num-return-sequences",
        "5",
    ];
    let wide = succeeds(&[&args[..], &wide].concat()).json();
    for index in 0..5 {
        let (all, wide) = (&all["sequences"][index], &wide["sequences"][index]);
        assert_eq!(all["ids"], wide["ids"]);
        let score = |of: &Value| of["score"].as_f64().expect("a number");
        assert!((score(all) - score(wide)).abs() < 1e-4);
    }
    assert_eq!(
        all["searched_tokens"].as_u64().map(|n| n > 99 * 90),
        Some(true)
    );
    fails(
        &[
            "generate",
            &model,
            "-p",
            "hi",
            "-n",
            "4",
            "--device",
            "flex",
            "--exhaustive",
        ],
        &[
            "99 tokens make more than 1048576 sequences of 4",
            "at most 3 new tokens",
        ],
    );
}

#[test]
fn what_draws_or_streams_does_not_go_with_a_search() {
    let model = random_tiny();
    let args = ["generate", &model, "-p", "hi", "--device", "flex"];
    for (options, words) in [
        (
            &["--num-beams", "2", "--temperature", "0.8"][..],
            "--temperature is about drawing",
        ),
        (
            &["--num-beams", "2", "--top-k", "3", "--seed", "1"],
            "--top-k, --seed is about drawing",
        ),
        (
            &["--num-beams", "2", "--stop", "x"],
            "--stop watches one text",
        ),
        (
            &["--exhaustive", "--top-p", "0.5"],
            "leave --exhaustive out",
        ),
        (
            &[
                "--exhaustive",
                "--repetition-penalty",
                "2",
                "--cache",
                "ring:4",
            ],
            "--repetition-penalty, --cache has no place",
        ),
        (
            &["--length-penalty", "2"],
            "--length-penalty is about searching",
        ),
        (
            &["--num-beams", "1", "--early-stopping", "true"],
            "--early-stopping is about",
        ),
        (
            &["--num-return-sequences", "2"],
            "--num-return-sequences is about",
        ),
        (
            &["--num-beams", "2", "--num-return-sequences", "3"],
            "num_return_sequences = 3: there are only 2 beams",
        ),
        (
            &["--num-beams", "2", "--length-penalty", "inf"],
            "length_penalty = inf",
        ),
    ] {
        fails(&[&args[..], options].concat(), &[words]);
    }
    refused(
        &[&args[..], &["--num-beams", "0"]].concat(),
        &["--num-beams"],
    );
    let both = ["--num-beams", "2", "--exhaustive"];
    refused(&[&args[..], &both].concat(), &["--exhaustive"]);
    let rule = ["--num-beams", "2", "--early-stopping", "yes"];
    refused(&[&args[..], &rule].concat(), &["true, false or never"]);
    // The makers of this model want it to sample: that is said.
    let ran = succeeds(&[&args[..], &["--num-beams", "2", "-n", "3"]].concat());
    ran.says(&["do_sample is not honoured with --num-beams"]);
}
