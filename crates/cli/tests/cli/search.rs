//! `glass search`: beams, and all texts.

use serde_json::{Value, json};

use crate::{
    models::{comma, copy, expected, fixture, random_tiny, shipped},
    run::{fails, refused, succeeds},
};

#[test]
fn beam_search_finds_the_texts_of_the_reference() {
    for (name, variant, eos, options) in [
        ("llama-gqa", "beam", None, &[][..]),
        ("llama-gqa", "beam_eos.lp0", Some(92), &["--length-penalty", "0"]),
        ("llama-gqa", "beam_eos.lp1_early", Some(92), &["--early-stopping", "true"]),
        ("mistral-swa", "beam_eos.lp2_never", Some(103), &["--length-penalty", "2.0", "--early-stopping", "never"]),
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
        let mut args = vec!["search", &path, "--ids", &prompt_ids, "-n", "16"];
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

/// What generation_config.json says of searches holds where the command line says nothing.
#[test]
fn generation_config_sets_the_defaults_of_a_search() {
    let model = copy(&fixture("llama-gqa"));
    let path = model.path();
    let args = ["search", &path, "--ids", "1,70,39", "-n", "9", "--num-beams", "3", "--device", "flex", "--json"];
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
fn search_prints_the_best_text_or_several() {
    let model = shipped("shakespeare-window");
    let args = ["search", &model, "-p", "ROMEO:", "-n", "30", "--num-beams", "3", "--device", "flex"];
    let one = succeeds(&args);
    one.says(&["6 prompt tokens, searched ", "best score "]);
    let json = succeeds(&[&args[..], &["--json"]].concat()).json();
    let text = json["sequences"][0]["text"].as_str().expect("a text");
    assert_eq!(one.stdout, format!("{text}\n"));
    let three = succeeds(&[&args[..], &["--num-return-sequences", "3"]].concat());
    assert!(three.stdout.starts_with(&one.stdout), "{three:?}");
    three.says(&["1 of 3: score -", "3 of 3: score -", "30 tokens (length)"]);
    // More breadth never finds a less probable text here than choosing greedily.
    let greedy = ["--temperature", "0", "--json", "--device", "flex"];
    let greedy = succeeds(&[&["generate"][..], &args[1..6], &greedy].concat()).json();
    let score = |json: &Value, name: &str| json["sequences"][0][name].as_f64().expect("a number");
    assert!(score(&json, "log_prob") > score(&greedy, "score"), "{json} {greedy}");
}

#[test]
fn exhaustive_search_finds_what_beams_may_miss() {
    let model = random_tiny();
    let args = ["search", &model, "-p", "hi", "-n", "2", "--device", "flex", "--json"];
    let all = succeeds(&[&args[..], &["--exhaustive", "--num-return-sequences", "5"]].concat());
    let all = all.json();
    let wide = ["--num-beams", "99", "--early-stopping", "never", "--num-return-sequences", "5"];
    let wide = succeeds(&[&args[..], &wide].concat()).json();
    for index in 0..5 {
        let (all, wide) = (&all["sequences"][index], &wide["sequences"][index]);
        assert_eq!(all["ids"], wide["ids"]);
        let score = |of: &Value| of["score"].as_f64().expect("a number");
        assert!((score(all) - score(wide)).abs() < 1e-4);
    }
    assert_eq!(all["searched_tokens"].as_u64().map(|n| n > 99 * 90), Some(true));
    fails(
        &["search", &model, "-p", "hi", "-n", "4", "--device", "flex", "--exhaustive"],
        &["99 tokens make more than 1048576 sequences of 4", "at most 3 new tokens"],
    );
}

/// Without --num-beams there are four; a single one is greedy.
#[test]
fn beam_width_defaults_to_four_and_one_beam_is_greedy() {
    let model = shipped("shakespeare-window");
    let prompt = ["-p", "ROMEO:", "-n", "30", "--device", "flex", "--json"];
    let sequence = |command: &str, options: &[&str]| {
        let args = [&[command, &model], &prompt[..], options].concat();
        succeeds(&args).json()["sequences"][0].clone()
    };
    let four = sequence("search", &["--num-beams", "4"]);
    assert_eq!(sequence("search", &[]), four);
    let one = sequence("search", &["--num-beams", "1"]);
    let greedy = sequence("generate", &["--temperature", "0"]);
    assert_eq!(one["ids"], greedy["ids"]);
    assert_ne!(one["ids"], four["ids"]);
}

#[test]
fn values_out_of_range_are_refused() {
    let model = random_tiny();
    let args = ["search", &model, "-p", "hi", "--device", "flex"];
    for (options, words) in [
        (&["--num-beams", "2", "--num-return-sequences", "3"][..], "num_return_sequences = 3: there are only 2 beams"),
        (&["--length-penalty", "inf"], "length_penalty = inf"),
        (&["--exhaustive", "-n", "1", "--length-penalty", "inf"], "length_penalty = inf"),
        (&["-n", "3", "--length-penalty", "-1e30"], "length_penalty = -1e30"),
        (&["-n", "3", "--length-penalty", "1e30"], "length_penalty = 1e30"),
        (&["--exhaustive", "-n", "2", "--length-penalty", "1e30"], "length_penalty = 1e30"),
        (&["--repetition-penalty", "0"], "repetition_penalty = 0"),
        (&["--logit-bias", "99=1"], "a bias for token 99"),
    ] {
        fails(&[&args[..], options].concat(), &[words]);
    }
    for (options, words) in [
        (["--num-beams", "0"], "--num-beams"),
        (["--num-return-sequences", "0"], "--num-return-sequences"),
        (["--early-stopping", "yes"], "true, false or never"),
    ] {
        refused(&[&args[..], &options].concat(), &[words]);
    }
}

#[test]
fn fewer_texts_than_asked_for_are_told_of() {
    let model = random_tiny();
    let args = ["search", &model, "-p", "hi", "-n", "1", "--device", "flex", "--json", "--ignore-eos"];
    for more in [&["--num-beams", "100"][..], &["--exhaustive"]] {
        let ran = succeeds(&[&args[..], more, &["--num-return-sequences", "100"]].concat());
        assert_eq!(ran.json()["sequences"].as_array().map(Vec::len), Some(99));
        ran.says(&["glass: warning: --num-return-sequences 100: the search found 99, and there are no more"]);
        let ran = succeeds(&[&args[..], more, &["--num-return-sequences", "99"]].concat());
        assert!(!ran.stderr.contains("no more"), "{ran:?}");
    }
}

/// It scores whole texts by the model's own distribution, without beams, rules or a cache.
#[test]
fn exhaustive_search_refuses_what_it_does_not_use() {
    let model = random_tiny();
    let args = ["search", &model, "-p", "hi", "--exhaustive"];
    for option in [
        ["--num-beams", "2"],
        ["--early-stopping", "true"],
        ["--repetition-penalty", "2"],
        ["--presence-penalty", "2"],
        ["--frequency-penalty", "2"],
        ["--no-repeat-ngram-size", "2"],
        ["--logit-bias", "1=2"],
        ["--cache", "ring:4"],
        ["--prefill-chunk", "4"],
    ] {
        let words = ["--exhaustive", "cannot be used with", option[0]];
        refused(&[&args[..], &option].concat(), &words);
    }
}

/// This model is to be sampled from, by its generation_config.json.
#[test]
fn search_warns_of_settings_that_it_ignores() {
    let model = copy(&random_tiny());
    model.edit_json("generation_config.json", |fields| {
        fields.insert("stop_strings".into(), json!("x"));
        fields.insert("repetition_penalty".into(), json!(1.5));
    });
    let path = model.path();
    let args = ["search", &path, "-p", "hi", "-n", "1", "--device", "flex"];
    let ran = succeeds(&args);
    ran.says(&["do_sample is not honoured", "stop_strings is not honoured"]);
    assert!(!ran.stderr.contains("penalties"), "{ran:?}");
    succeeds(&[&args[..], &["--exhaustive"]].concat()).says(&[
        "do_sample is not honoured",
        "stop_strings is not honoured",
        "penalties, n-gram rules and biases are not honoured",
    ]);
}
