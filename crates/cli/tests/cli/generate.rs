//! What `glass generate` generates.

use serde_json::{Value, json};

use crate::{
    models::{comma, copy, expected, fixture, random_tiny},
    run::{Ran, fails, succeeds},
};

/// The built-in model on flex.
pub fn tiny(args: &[&str]) -> Ran {
    let model = random_tiny();
    let head = ["generate", &model, "--device", "flex"];
    succeeds(&[&head[..], args].concat())
}

/// The ids and the text of the one sequence of a `--json` run.
pub fn sequence(args: &[&str]) -> (Vec<u64>, String, String) {
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
