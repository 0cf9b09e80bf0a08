//! What `glass generate` generates.

use serde_json::{Value, json};

use crate::{
    models::{comma, copy, expected, fixture, random_tiny},
    run::{Ran, fails, succeeds},
};

/// The built-in model on flex.
fn tiny(args: &[&str]) -> Ran {
    let model = random_tiny();
    let head = ["generate", &model, "--device", "flex"];
    succeeds(&[&head[..], args].concat())
}

/// The ids and the text of the one sequence of a `--json` run.
fn sequence(args: &[&str]) -> (Vec<u64>, String, String) {
    let json = tiny(&[args, &["--json"]].concat()).json();
    let sequence = &json["sequences"][0];
    let ids = sequence["ids"].as_array().expect("a list");
    let text = |name: &str| sequence[name].as_str().expect("a string").to_owned();
    (ids.iter().map(|id| id.as_u64().expect("an id")).collect(), text("text"), text("finish_reason"))
}

#[test]
fn greedy_ids_are_those_of_the_reference() {
    for name in ["llama-gqa", "mistral-swa", "qwen2-mixed-window", "llama-sharded"] {
        let model = &fixture(name);
        let expected = expected(model);
        let prompt = expected["greedy.prompt_ids"].ids();
        let output = expected["greedy.output_ids"].ids();
        let new = &output[prompt.len()..];
        let args = [
            "generate",
            model,
            "--ids",
            &comma(&prompt),
            "--ignore-eos",
            "--device",
            "flex",
            "-n",
            &new.len().to_string(),
        ];
        let json = succeeds(&[&args[..], &["--json"]].concat()).json();
        let sequence = &json["sequences"][0];
        assert_eq!(sequence["ids"], json!(new), "{name}");
        assert_eq!(sequence["text"], Value::Null, "{name} has no tokenizer");
        assert_eq!(sequence["finish_reason"], "length", "{name}");
        assert_eq!(json["prompt_tokens"], prompt.len(), "{name}");

        // Without a tokenizer the ids are what is streamed.
        let streamed = succeeds(&args).stdout;
        let streamed: Vec<u32> = streamed.split_whitespace().map(|id| id.parse().expect("an id")).collect();
        assert_eq!(streamed, new, "{name}");
    }
}

#[test]
fn json_has_every_field_and_one_line() {
    let ran = tiny(&["-p", "ROMEO:", "-n", "20", "--json"]);
    assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    assert!(ran.stdout.ends_with('\n'));
    let json = ran.json();
    let mut fields: Vec<&String> = json.as_object().expect("an object").keys().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "decode_tokens_per_second",
            "device",
            "dtype",
            "generated_tokens",
            "load_seconds",
            "peak_memory_bytes",
            "prefill_tokens_per_second",
            "prompt_tokens",
            "sequences",
        ]
    );
    let sequences = json["sequences"].as_array().expect("a list");
    assert_eq!(sequences.len(), 1);
    let sequence = sequences[0].as_object().expect("an object");
    let mut fields: Vec<&String> = sequence.keys().collect();
    fields.sort();
    assert_eq!(fields, ["finish_reason", "ids", "score", "text"]);
    let ids = sequence["ids"].as_array().expect("a list");
    assert!(ids.iter().all(|id| id.as_u64().is_some_and(|id| id < 99)));
    // A sum of logarithms of probabilities.
    assert!(sequence["score"].as_f64().is_some_and(|score| score < 0.0));
    assert_eq!(json["generated_tokens"], ids.len());
    // <s> and six characters.
    assert_eq!(json["prompt_tokens"], 7);
    for speed in ["load_seconds", "prefill_tokens_per_second", "decode_tokens_per_second"] {
        assert!(json[speed].as_f64().is_some_and(|value| value > 0.0), "{speed}: {json}");
    }
    if cfg!(unix) {
        let peak = json["peak_memory_bytes"].as_u64().expect("a number");
        assert!((1 << 20..1 << 40).contains(&peak), "{peak}");
    }
    assert_eq!(json["device"], "flex");
    assert_eq!(json["dtype"], "bf16");
}

#[test]
fn the_streamed_text_is_the_text() {
    let args = ["-p", "ROMEO:", "-n", "60"];
    let (_, text, _) = sequence(&args);
    let ran = tiny(&args);
    assert_eq!(ran.stdout, format!("{text}\n"));
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    ran.says(&["7 prompt tokens", "device flex", "bf16"]);
}

#[test]
fn a_seed_gives_the_same_text_and_another_seed_another() {
    let with = |seed: &str| sequence(&["-p", "hi", "-n", "40", "--seed", seed]).0;
    assert_eq!(with("1"), with("1"));
    assert_ne!(with("1"), with("2"));
    assert_eq!(with("0"), sequence(&["-p", "hi", "-n", "40"]).0);
}

#[test]
fn at_temperature_0_the_seed_does_not_matter() {
    // In bf16, in which the model is stored, two tokens may have the same logit.
    let fixed = ["-p", "hi", "-n", "40", "--dtype", "f32"];
    let with = |seed: &str| sequence(&[&fixed[..], &["--temperature", "0", "--seed", seed]].concat()).0;
    assert_eq!(with("1"), with("2"));
    // The most probable token alone is the same choice.
    let one = sequence(&[&fixed[..], &["--top-k", "1", "--seed", "3"]].concat()).0;
    assert_eq!(one, with("1"));
}

#[test]
fn no_token_and_one_token() {
    let (ids, text, reason) = sequence(&["-p", "hi", "-n", "0"]);
    assert_eq!((ids, &*text, &*reason), (vec![], "", "length"));
    assert_eq!(tiny(&["-p", "hi", "-n", "0"]).stdout, "\n");
    let (ids, _, reason) = sequence(&["-p", "hi", "-n", "1", "--ignore-eos"]);
    assert_eq!((ids.len(), &*reason), (1, "length"));
}

#[test]
fn eos_ends_the_text_unless_it_is_ignored() {
    let model = fixture("llama-gqa");
    let expected = expected(&model);
    let prompt = comma(&expected["greedy.prompt_ids"].ids());
    let output = expected["greedy.output_ids"].ids();
    let new = &output[expected["greedy.prompt_ids"].ids().len()..];
    // By generation_config.json the third greedy token ends the text.
    let at = new.iter().position(|id| *id == new[2]).expect("it is there");
    let copy = copy(&model);
    copy.edit_json("generation_config.json", |fields| {
        fields.insert("eos_token_id".into(), json!([new[2], 0]));
    });
    let model = copy.path();
    let args = ["generate", &model, "--ids", &prompt, "-n", "10", "--json", "--device", "flex"];
    let json = succeeds(&args).json();
    assert_eq!(json["sequences"][0]["ids"], json!(new[..=at]));
    assert_eq!(json["sequences"][0]["finish_reason"], "eos");
    let json = succeeds(&[&args[..], &["--ignore-eos"]].concat()).json();
    assert_eq!(json["sequences"][0]["ids"], json!(new[..10]));
    assert_eq!(json["sequences"][0]["finish_reason"], "length");
}

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
fn max_new_tokens_defaults_to_generation_config() {
    let copy = copy(&fixture("llama-gqa"));
    let generated = |fields: &[(&str, u32)], rest: &[&str]| {
        copy.edit_json("generation_config.json", |all| {
            all.remove("max_new_tokens");
            all.remove("max_length");
            for (name, value) in fields {
                all.insert((*name).to_owned(), json!(value));
            }
        });
        let path = copy.path();
        let head = ["generate", &path, "--ids", "1,2,3", "--ignore-eos", "--json", "--device", "flex"];
        let json = succeeds(&[&head[..], rest].concat()).json();
        json["generated_tokens"].as_u64().expect("a number")
    };
    assert_eq!(generated(&[("max_new_tokens", 7)], &[]), 7);
    assert_eq!(generated(&[("max_length", 10)], &[]), 7, "the prompt counts");
    assert_eq!(generated(&[("max_length", 10), ("max_new_tokens", 5)], &[]), 5);
    assert_eq!(generated(&[("max_new_tokens", 7)], &["-n", "9"]), 9);
    // The context holds 128 and the last token is never read.
    assert_eq!(generated(&[("max_new_tokens", 5000)], &[]), 126);
    assert_eq!(generated(&[], &[]), 126);
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
fn log_probabilities_are_reported_per_token() {
    let model = fixture("llama-gqa");
    let args = ["generate", &model, "--ids", "1,2,3", "-n", "5", "--ignore-eos", "--device", "flex", "--json"];
    let without = succeeds(&args).json();
    assert_eq!(without["sequences"][0]["logprobs"], Value::Null);
    for (top, warm) in [(0, false), (3, false), (3, true), (1000, false)] {
        let top_arg = top.to_string();
        let mut args = args.to_vec();
        args.extend(["--logprobs", &top_arg]);
        if warm {
            // The model's own distribution, whatever is drawn from.
            args.extend(["--temperature", "5", "--logit-bias", "7=-inf", "--seed", "2"]);
        }
        let json = succeeds(&args).json();
        let sequence = &json["sequences"][0];
        let logprobs = sequence["logprobs"].as_array().expect("a list");
        let ids = sequence["ids"].as_array().expect("a list");
        assert_eq!(logprobs.len(), 5);
        let mut score = 0.0;
        for (at, id) in logprobs.iter().zip(ids) {
            assert_eq!((&at["id"], &at["token"]), (id, &Value::Null));
            score += at["logprob"].as_f64().expect("a number");
            let best = at["top"].as_array().expect("a list");
            assert_eq!(best.len(), top.min(128));
            if !warm && top > 0 {
                assert_eq!((&best[0]["id"], &best[0]["logprob"]), (id, &at["logprob"]));
            }
            let p = |at: &Value| at["logprob"].as_f64().expect("a number");
            assert!(best.is_sorted_by(|a, b| p(a) >= p(b)));
            if best.len() == 128 {
                let all: f64 = best.iter().map(|at| p(at).exp()).sum();
                assert!((all - 1.0).abs() < 1e-6, "{all}");
            }
        }
        let told = sequence["score"].as_f64().expect("a number");
        assert!((score - told).abs() < 1e-9, "{score} {told}");
    }
}

#[test]
fn log_probabilities_are_a_table_below_the_text() {
    let plain = tiny(&["-p", "ROMEO:", "-n", "4", "--seed", "1"]);
    let ran = tiny(&["-p", "ROMEO:", "-n", "4", "--seed", "1", "--logprobs", "2"]);
    assert_eq!(ran.stdout, plain.stdout);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 6, "{ran:?}");
    let header: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(header, ["token", "logprob", "most", "probable"]);
    for (number, line) in lines[1..5].iter().enumerate() {
        assert!(line.trim_start().starts_with(&(number + 1).to_string()), "{ran:?}");
    }
    let ran = tiny(&["-p", "ROMEO:", "-n", "2", "--logprobs", "0"]);
    assert!(!ran.stderr.contains("most probable"), "{ran:?}");
}

#[test]
fn prompt_lookup_gives_the_same_text_and_reports_its_drafts() {
    let model = fixture("mistral-swa");
    let run = |more: &[&str]| {
        let args = ["generate", &model, "--ids", "5,6,7,8,5,6,7,8,5,6", "-n", "60", "--ignore-eos", "--device", "flex"];
        succeeds(&[&args[..], more].concat())
    };
    let plain = run(&["--json"]).json();
    assert_eq!(plain["speculation"], Value::Null);
    let json = run(&["--json", "--prompt-lookup", "4"]).json();
    assert_eq!(json["sequences"][0]["ids"], plain["sequences"][0]["ids"]);
    let told = &json["speculation"];
    let number = |name: &str| told[name].as_f64().unwrap_or_else(|| panic!("{name}: {told}"));
    assert_eq!(number("passes") + number("accepted"), 59.0);
    assert!(number("accepted") <= number("drafted") && number("drafted") > 0.0);
    assert!((number("acceptance") - number("accepted") / number("drafted")).abs() < 1e-12);
    assert!((number("tokens_per_pass") - 59.0 / number("passes")).abs() < 1e-12);
    run(&["--prompt-lookup", "4"]).says(&["prompt lookup:", "drafted tokens accepted", "tokens per pass"]);

    fails(
        &["generate", &model, "--ids", "5,6", "--prompt-lookup", "4", "--cache", "full=tova:16"],
        &["--cache tova", "use full, ring or sinks"],
    );
    // Angles that depend on the length of a pass cannot be guessed ahead.
    let dynamic = fixture("extra/extra-dynamic");
    let args =
        ["generate", &dynamic, "--ids", "5,6,7,5,6,7,5,6", "-n", "90", "--device", "flex", "--prompt-lookup", "4"];
    succeeds(&args).says(&["--prompt-lookup is without effect beyond the trained context", "rope type dynamic"]);
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

#[test]
fn bias_beyond_the_vocabulary_is_refused() {
    let model = fixture("llama-gqa");
    fails(
        &["generate", &model, "--ids", "1", "--device", "flex", "--logit-bias", "128=1"],
        &["a bias for token 128", "the vocabulary has 128 tokens"],
    );
}
