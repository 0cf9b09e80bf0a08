//! Models whose layers keep a state: what is said of them, and what they are not asked for.

use std::{fs, path::Path};

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
    // Of a convolution 3 inputs of each channel; the matrix: channels by state.
    let mamba = "Mamba of 96 channels with 8 states each, convolution over 4, time steps of rank";
    says("mamba", &[mamba, "recurrent state 3 layers: 12.7 kB for a text of any length", "reach the whole context"]);
    says(
        "mamba2",
        &["Mamba-2 of 6 heads of 16 channels with 8 states each, 2 groups", "recurrent state 3 layers: 13.8 kB"],
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
        &[griffin, "2 RG-LRU, 1 window 8", "recurrent state 2 layers: 1536 bytes", "reach the whole context"],
    );
}

#[test]
fn policies_are_for_keys_and_drafts_for_all() {
    let model = copy(&fixture("families/mamba"));
    // Characters, fewer than the model has rows.
    let tokenizer = Path::new(&shipped("shakespeare-full")).join("tokenizer.json");
    fs::copy(tokenizer, Path::new(&model.path()).join("tokenizer.json")).expect("copied");
    let model = model.path();
    let args =
        ["generate", &model, "-p", "To be, or not to be, or not", "-n", "30", "--device", "flex", "--dtype", "f32"];
    for (cache, policy) in [("full", "full"), ("tova:8", "tova:8"), ("sliding=ring", "ring")] {
        fails(&[&args[..], &["--cache", cache]].concat(), &[policy, "no attention layers"]);
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
