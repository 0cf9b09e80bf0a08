//! What `glass generate` says of the probabilities of its tokens.

use serde_json::Value;

use crate::{generate::tiny, models::fixture, run::succeeds};

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
