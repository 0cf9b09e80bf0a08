//! What is kept of a text (`--cache`), in what pieces it is read (`--prefill-chunk`), and what that does to its
//! likelihood by position.

use std::fs;

use serde_json::Value;

use crate::{
    models::{random_tiny, shipped},
    run::{Ran, command, fails, refused, run, succeeds, text},
    svg::texts,
};

/// Two hundred characters, far beyond a window of 64.
const PROMPT: &str = "ROMEO:\nIt was the lark, the herald of the morn, no nightingale: look, love, what envious streaks \
                      do lace the severing clouds in yonder east: night's candles are burnt out, and jocund day\n";

fn generates(model: &str, options: &[&str]) -> Ran {
    let fixed = ["generate", model, "-p", PROMPT, "-n", "40", "--temperature", "0", "--device", "flex"];
    succeeds(&[&fixed, options].concat())
}

#[test]
fn pieces_and_exact_caches_write_the_same() {
    for model in [shipped("shakespeare-full"), shipped("shakespeare-window"), random_tiny()] {
        let usual = generates(&model, &[]).stdout;
        for chunk in ["1", "3", "63", "64", "65", "1000"] {
            assert_eq!(generates(&model, &["--prefill-chunk", chunk]).stdout, usual, "{chunk}");
        }
        for cache in ["full", "ring"] {
            let ran = generates(&model, &["--cache", cache, "--prefill-chunk", "7"]);
            assert_eq!(ran.stdout, usual, "{cache}");
            assert!(!ran.stderr.contains("warning"), "{ran:?}");
        }
    }
}

#[test]
fn a_cache_that_forgets_is_warned_of() {
    for cache in ["ring:16", "sinks:4+28", "tova:24"] {
        for name in ["shakespeare-full", "shakespeare-window"] {
            let ran = generates(&shipped(name), &["--cache", cache]);
            ran.says(&["warning", &format!("--cache {cache}"), "not its own"]);
        }
    }
}

/// Half the bytes, and the same text where no two tokens are nearly as probable.
#[test]
fn keys_and_values_have_a_type_of_their_own() {
    let model = shipped("shakespeare-full");
    let run = |more: &[&str]| {
        let args = ["generate", &model, "-p", "ROMEO:", "-n", "40", "--temperature", "0", "--device", "flex"];
        succeeds(&[&args[..], more].concat()).stdout
    };
    let plain = run(&["--dtype", "f32"]);
    for dtype in ["f32", "f16"] {
        assert_eq!(run(&["--dtype", "f32", "--cache-dtype", dtype]), plain, "{dtype}");
        assert_eq!(run(&["--dtype", "f32", "--cache", &format!("full,dtype={dtype}")]), plain, "{dtype}");
    }
    let args = ["generate", &model, "-p", "a", "-n", "1"];
    fails(
        &[&args[..], &["--dtype", "f32", "--device", "ndarray", "--cache-dtype", "f16"]].concat(),
        &["keys and values in f16 (--cache-dtype): device ndarray keeps f32 or q8"],
    );
    refused(&[&args[..], &["--cache", "dtype=q3"]].concat(), &["q3", "dtype=f32, dtype=f16, dtype=bf16 or dtype=q8"]);
}

#[test]
fn caches_that_cannot_be_are_refused() {
    let window = &shipped("shakespeare-window");
    let full = &shipped("shakespeare-full");
    let generate = |model, cache| ["generate", model, "-p", "a", "--cache", cache];
    for cache in ["", "none", "sinks:4", "tova:0", "ring:0", "layer=full"] {
        refused(&generate(window, cache), &["sinks:S+W"]);
    }
    for (model, cache, part) in [
        (window, "sinks:4+65", "give at most 64"),
        (window, "full=ring:8", "no full-attention layers"),
        (full, "sliding=ring:8", "no sliding-window layers"),
    ] {
        run(&mut command(&generate(model, cache))).failed(&["cache policy", part]);
    }
    refused(&["generate", window, "-p", "a", "--prefill-chunk", "0"], &["--prefill-chunk"]);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn likelihoods_by_position_make_up_the_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text.txt");
    fs::write(&file, PROMPT.repeat(3)).expect("a file");
    let (file, model) = (text(&file), shipped("shakespeare-window"));
    let args = [
        "eval",
        "perplexity",
        &model,
        "--text",
        &file,
        "--window",
        "300",
        "--by-position",
        "--device",
        "flex",
        "--cache",
        "ring",
        "--cache",
        "full",
        "--cache",
        "sinks:4+60",
    ];
    let json = succeeds(&[&args[..], &["--json"]].concat()).json();
    let runs = json["runs"].as_array().expect("three runs");
    assert_eq!(runs.len(), 3);
    for run in runs {
        let buckets = run["by_position"].as_array().expect("buckets");
        let tokens: f64 = buckets.iter().map(|bucket| number(&bucket["tokens"])).sum();
        assert_eq!(tokens, number(&run["tokens"]));
        let nll = |bucket: &Value| number(&bucket["tokens"]) * number(&bucket["mean_nll"]);
        let mean = buckets.iter().map(nll).sum::<f64>() / tokens;
        assert!((mean - number(&run["mean_nll"])).abs() < 1e-9);
        assert_eq!((&buckets[0]["from"], &buckets[1]["to"]), (&Value::from(1), &Value::from(3)));
    }
    // Nothing that a layer sees is lost in a ring; with sinks something else is seen.
    let mean = |run: usize| number(&runs[run]["mean_nll"]);
    assert!((mean(0) - mean(1)).abs() < 1e-6);
    assert!((mean(0) - mean(2)).abs() > 1e-6);
    assert_eq!(number(&json["mean_nll"]), mean(0));

    let table = succeeds(&args).stdout;
    for part in ["tokens before", "sinks:4+60", "128 to 255", "256 to 300"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn likelihoods_by_position_can_be_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, picture) = (folder.path().join("text.txt"), folder.path().join("a.svg"));
    // Long enough for several points of the plot.
    fs::write(&file, PROMPT.repeat(4)).expect("a file");
    let (file, picture, model) = (text(&file), text(&picture), shipped("shakespeare-window"));
    let args = ["eval", "perplexity", &model, "--text", &file, "--device", "flex", "--plot", &picture];
    refused(&args, &["--by-position"]);
    let args = [&args[..], &["--by-position"]].concat();
    succeeds(&[&args[..], &["--cache", "ring", "--cache", "tova:16"]].concat());
    let svg = fs::read_to_string(&picture).expect("a picture");
    let words = texts(&svg);
    for word in ["ring", "tova:16", "nats per token", "128"] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    assert!(words.iter().any(|word| word.starts_with("shakespeare-window on text.txt")), "{words:?}");

    // Refused before the model is looked for.
    let refuse = |change: &[(&str, &str)], more: &[&str], words: &[&str]| {
        let mut args = args.clone();
        for (from, to) in change.iter().chain(&[(&*model, "/nothing/here")]) {
            let place = args.iter().position(|arg| arg == from).expect("given");
            args[place] = to;
        }
        fails(&[&args[..], more].concat(), words);
    };
    let nowhere = text(&folder.path().join("none/a.svg"));
    refuse(&[(&picture, &nowhere)], &[], &["none/a.svg", "does not exist"]);
    refuse(&[], &["--cache", "ring"].repeat(20), &["20 curves"]);
}

/// What is reported is the program's own, and not the peak of the process that started it.
#[cfg(target_os = "linux")]
#[test]
fn the_peak_is_not_inherited() {
    let mine = vec![1u8; 512 << 20];
    assert!(mine.iter().step_by(4096).all(|&byte| byte == 1));
    let model = shipped("recall-full");
    let args = ["generate", &model, "--ids", "1", "-n", "2", "--json", "--device", "flex"];
    let peak = succeeds(&args).json()["peak_memory_bytes"].as_u64();
    let peak = peak.expect("a number");
    assert!(peak < mine.len() as u64 / 2, "{peak} bytes");
}
