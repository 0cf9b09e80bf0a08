//! Models whose layers keep a state: what is said of them, and what they are not asked for.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    models::{copy, fixture, shipped},
    run::{fails, succeeds, text},
};

#[test]
fn info_says_what_a_layer_keeps() {
    let says = |family: &str, lines: &[&str]| {
        let ran = succeeds(&["info", &fixture(&format!("families/{family}"))]);
        let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in lines {
            assert!(words.contains(line), "{family}: no \"{line}\" in {}", ran.stdout);
        }
    };
    let layers =
        |family: &str| succeeds(&["info", "--json", &fixture(&format!("families/{family}"))]).json()["layers"].clone();
    let mamba_state = json!({ "matrix": [96, 1, 8], "conv": [96, 3], "bytes": 96 * (8 + 3) * 4 });
    let run = |first: u64, count: u64, mixer: &str, window: Value, state: Value| json!({ "first": first, "layers": count, "mixer": mixer, "window": window, "state": state });
    assert_eq!(layers("mamba"), json!([run(0, 3, "Mamba", Value::Null, mamba_state)]));
    let griffin = json!({ "matrix": [48, 1, 1], "conv": [48, 3], "bytes": 48 * 4 * 4 });
    let runs = [run(0, 2, "RG-LRU", Value::Null, griffin), run(2, 1, "attention", 8.into(), Value::Null)];
    assert_eq!(layers("recurrent_gemma"), json!(runs));
    // Of a convolution 3 inputs of each channel; the matrix: channels by state.
    let mamba = "Mamba of 96 channels with 8 states each, convolution over 4, time steps of rank";
    let each = "Mamba 3 layers: 96 by 8 numbers, 3 inputs of 96 channels, 4224 bytes each";
    says(
        "mamba",
        &[mamba, "recurrent state 3 layers: 12.7 kB for a text of any length", each, "reach the whole context"],
    );
    let each = "Mamba-2 3 layers: 6 heads by 16 by 8 numbers, 3 inputs of 128 channels, 4608 bytes each";
    says(
        "mamba2",
        &["Mamba-2 of 6 heads of 16 channels with 8 states each, 2 groups", "recurrent state 3 layers: 13.8 kB", each],
    );
    says(
        "jamba",
        &[
            mamba,
            "1 Mamba with one MLP, 1 full without RoPE with experts, 1 Mamba",
            "recurrent state 2 layers: 8448 bytes",
        ],
    );
    let griffin = "RG-LRU of 48 channels, gates in 4 blocks, convolution over 4";
    says(
        "recurrent_gemma",
        &[
            griffin,
            "RG-LRU 2 layers: 48 numbers, 3 inputs of 48 channels, 768 bytes each",
            "2 RG-LRU, 1 window 8",
            "recurrent state 2 layers: 1536 bytes",
            "reach the whole context",
        ],
    );
}

#[test]
fn policies_are_for_keys_and_drafts_for_all() {
    let model = copy(&fixture("families/mamba"));
    // Characters, fewer than the model has rows.
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let tokenizer = Path::new(&shipped("shakespeare-full")).join(file);
        fs::copy(tokenizer, Path::new(&model.path()).join(file)).expect("copied");
    }
    let model = model.path();
    let args =
        ["generate", &model, "-p", "To be, or not to be, or not", "-n", "30", "--device", "flex", "--dtype", "f32"];
    for (cache, policy) in [("full", "full"), ("tova:8", "tova:8"), ("sliding=ring", "ring")] {
        fails(&[&args[..], &["--cache", cache]].concat(), &[policy, "no attention layers"]);
    }
    for dtype in [["--cache-dtype", "q8"], ["--cache", "dtype=q8"]] {
        fails(&[&args[..], &dtype].concat(), &["cache dtype q8", "no attention layers"]);
    }
    let ids = |more: &[&str]| {
        succeeds(&[&args[..], &["--ignore-eos", "--json"], more].concat()).json()["sequences"][0]["ids"].clone()
    };
    let plain = ids(&[]);
    assert_eq!(plain.as_array().map(Vec::len), Some(30));
    assert_eq!(ids(&["--prompt-lookup", "8"]), plain);
    assert_eq!(ids(&["--draft", &model]), plain);
}

#[test]
fn sizes_that_do_not_fit_are_one_line() {
    let mamba2 = fixture("families/mamba2");
    for (set, words) in [
        ("n_groups=4", &["n_groups = 4", "must divide num_heads (6)"][..]),
        ("head_dim=8", &["num_heads = 6", "times head_dim (8) must be expand times hidden_size, 96"]),
        ("state_size=0", &["state_size = 0", "at least 1"]),
    ] {
        fails(&["info", &mamba2, "--set", set], words);
    }
}

#[test]
fn tensors_that_do_not_fit_are_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = text(&folder.path().join("out.safetensors"));
    let jamba = fixture("families/jamba");
    fails(
        &["logits", &jamba, "--ids", "1,2", "--device", "flex", "--set", "mamba_d_state=4", "-o", &out],
        &["model.layers.0.mamba.A_log", "96"],
    );
}
