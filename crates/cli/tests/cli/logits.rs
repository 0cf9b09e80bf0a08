//! `glass logits`: the numbers that it writes.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    models::{Stored, comma, expected, fixture, random_tiny, read},
    run::{Ran, succeeds, text},
};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn logits(args: &[&str], out: &Path) -> (Ran, BTreeMap<String, Stored>) {
    let out_text = text(out);
    let tail = ["--device", "flex", "--force", "-o", &out_text];
    let ran = succeeds(&[&["logits"], args, &tail].concat());
    assert_eq!(ran.stdout, "");
    ran.says(&["glass: wrote", &out_text]);
    (ran, read(out))
}

/// The largest difference at the positions where `mask` (one entry per position along axis 1) is 1.
fn difference(found: &Stored, wanted: &Stored, mask: Option<&[u32]>) -> f32 {
    assert_eq!(found.shape, wanted.shape);
    let per_position: usize = found.shape[2..].iter().product();
    let (found, wanted) = (found.f32s(), wanted.f32s());
    assert!(found.iter().all(|value| value.is_finite()));
    found
        .iter()
        .zip(&wanted)
        .enumerate()
        .filter(|(i, _)| mask.is_none_or(|mask| mask[i / per_position] == 1))
        .map(|(_, (a, b))| (a - b).abs())
        .fold(0.0, f32::max)
}

/// How far rounding may go: the bounds that the fixtures' README derives.
fn tolerance(name: &str) -> f32 {
    match name.split('.').next() {
        Some("logits") => 1e-4,
        Some("hidden") => 2e-4,
        Some("attn") => 1e-5,
        Some("rope") => 3e-6,
        _ => panic!("{name} is not documented"),
    }
}

#[test]
fn everything_is_as_in_transformers() {
    let folder = folder();
    for (name, layers) in [("llama-gqa", 3), ("mistral-swa", 3), ("qwen2-mixed-window", 4)] {
        let model = &fixture(name);
        let expected = expected(model);
        let out = folder.path().join(name);
        let ids = comma(&expected["input_ids"].ids());
        let args = [model, "--ids", &ids, "--capture", "hidden,attention"];
        let (_, found) = logits(&args, &out);
        let mut names: Vec<String> =
            ["hidden.embed", "hidden.norm", "logits", "rope.cos", "rope.sin"].map(str::to_owned).to_vec();
        for i in 0..layers {
            names.extend([format!("hidden.layer.{i}"), format!("attn.{i}")]);
        }
        names.sort();
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), names, "{name}");
        for (tensor, found) in &found {
            let off = difference(found, &expected[tensor], None);
            assert!(off <= tolerance(tensor), "{name}, {tensor}: {off}");
        }
    }
}

#[test]
fn what_is_not_asked_for_is_not_written() {
    let folder = folder();
    let model = &fixture("llama-gqa");
    let keys = |args: &[&str]| {
        let args = [&[model.as_str(), "--ids", "1,2"], args].concat();
        let (_, found) = logits(&args, &folder.path().join("out"));
        found.into_keys().collect::<Vec<_>>()
    };
    let always = ["logits", "rope.cos", "rope.sin"];
    assert_eq!(keys(&[]), always);
    let hidden = keys(&["--capture", "hidden"]);
    assert!(hidden.len() == 3 + 5 && !hidden.iter().any(|name| name.starts_with("attn")));
    let attention = keys(&["--capture", "attention"]);
    assert!(attention.len() == 3 + 3 && !attention.iter().any(|name| name.starts_with("hidden")));
    assert_eq!(keys(&["--capture", "hidden", "--capture", "attention"]).len(), 3 + 5 + 3);
}

/// Layers by their numbers: what recurrent ones keep, and how much of it each token leaves.
#[test]
fn recurrent_layers_are_written_as_what_they_are() {
    let folder = folder();
    for (family, layer, names, state) in [
        ("mamba", 1, &["a", "b", "c", "decay", "dt", "gate", "state", "x"][..], [1, 96, 1, 8]),
        ("mamba2", 2, &["a", "b", "c", "decay", "dt", "gate", "state", "x"], [1, 6, 16, 8]),
        ("recurrent_gemma", 1, &["decay", "gate", "input_gate", "recurrent_gate", "state", "x"], [1, 48, 1, 1]),
    ] {
        let model = fixture(&format!("families/{family}"));
        let args = [&model, "--ids", "1,2,3,4,5", "--dtype", "f32", "--capture"];
        let with = |what| logits(&[&args[..], &[what]].concat(), &folder.path().join(family)).1;
        let found = with("recurrence,attention");
        let prefix = format!("recurrence.{layer}.");
        let written = found.keys().filter_map(|name| name.strip_prefix(&prefix)).collect::<Vec<_>>();
        assert_eq!(written, names, "{family}");
        assert_eq!(found[&format!("{prefix}state")].shape, state, "{family}");
        let decay = &found[&format!("{prefix}decay")];
        assert_eq!(decay.shape, [1, 5, state[1]], "{family}");
        assert!(decay.f32s().iter().all(|share| *share > 0.0 && *share < 1.0), "{family}");
        assert!(!found.contains_key("recurrence.2.x") || family != "recurrent_gemma", "layer 2 attends");
        assert!(with("attention").keys().all(|name| !name.starts_with("recurrence")), "{family}");
    }
}

#[test]
fn what_no_layer_has_is_told_when_it_is_asked_for() {
    let folder = folder();
    let out = text(&folder.path().join("out"));
    for (model, what, others) in
        [("families/mamba", "attention", "recurrence"), ("llama-gqa", "recurrence", "attention")]
    {
        let model = fixture(model);
        let args = ["logits", &model, "--ids", "1,2", "-o", &out, "--force", "--capture"];
        succeeds(&[&args[..], &[what]].concat()).says(&[&format!("--capture {what} without effect")]);
        let told = succeeds(&[&args[..], &[others]].concat()).stderr;
        assert!(!told.contains("without effect"), "{told}");
    }
}

/// A model in which no layer rotates has no angles.
#[test]
fn without_rope_there_are_no_angles() {
    let folder = folder();
    let model = &fixture("families/smollm3")[..];
    let args = [model, "--ids", "1,2", "--set", "no_rope_layers=[0,0,0]"];
    let (_, found) = logits(&args, &folder.path().join("out"));
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["logits"]);
    let info = succeeds(&["info", model, "--set", "no_rope_layers=[0,0,0]"]).stdout;
    assert!(info.lines().any(|line| line.starts_with("positions") && line.contains("none, context")), "{info}");
}

#[test]
fn a_padded_batch_is_as_in_transformers() {
    let folder = folder();
    let model = &fixture("llama-padded-batch");
    let expected = expected(model);
    let (ids, mask) = (&expected["input_ids"], &expected["attention_mask"]);
    let input = folder.path().join("input.json");
    let batch = json!({ "input_ids": ids.rows(), "attention_mask": mask.rows() });
    fs::write(&input, batch.to_string()).expect("written");
    let args = [model, "--ids-file", &text(&input), "--capture", "hidden,attention"];
    let (_, found) = logits(&args, &folder.path().join("out"));
    let mask = mask.ids();
    for (tensor, found) in &found {
        // Attention has the heads before the positions: the shape is checked, the values are by every hidden state.
        let off = match tensor.starts_with("attn") {
            true => {
                assert_eq!(found.shape, expected[tensor].shape);
                0.0
            }
            false => difference(found, &expected[tensor], Some(&mask)),
        };
        assert!(off <= tolerance(tensor), "{tensor}: {off}");
    }
}

#[test]
fn a_batch_is_its_rows() {
    let folder = folder();
    let model = &fixture("llama-gqa");
    let input = folder.path().join("input.json");
    // An explicit null says nothing, like an absent mask.
    let batch = json!({ "input_ids": [[1, 2, 3], [4, 5, 6]], "attention_mask": null });
    fs::write(&input, batch.to_string()).expect("written");
    let (_, both) = logits(&[model, "--ids-file", &text(&input)], &folder.path().join("both"));
    assert_eq!(both["logits"].shape, [2, 3, 128]);
    let both = both["logits"].f32s();
    for (row, ids) in ["1,2,3", "4,5,6"].iter().enumerate() {
        let (_, one) = logits(&[model, "--ids", ids], &folder.path().join("one"));
        let one = one["logits"].f32s();
        let off = both[row * one.len()..][..one.len()].iter().zip(&one).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 1e-4, "row {row}: {off}");
    }
}

#[test]
fn a_text_goes_through_the_tokenizer() {
    let folder = folder();
    let model = &random_tiny();
    let (_, by_text) = logits(&[model, "-p", "hi"], &folder.path().join("text"));
    assert_eq!(by_text["logits"].shape, [1, 3, 99]);
    assert_eq!(by_text["rope.cos"].shape, [1, 3, 16]);
}

#[test]
fn beyond_the_context_is_warned_of() {
    let folder = folder();
    let ids = comma(&[5; 130]);
    let model = &fixture("llama-gqa");
    let (ran, found) = logits(&[model, "--ids", &ids], &folder.path().join("out"));
    ran.says(&["glass: warning: ", "130 positions", "2 more", "128"]);
    assert_eq!(found["logits"].shape, [1, 130, 128]);
}

#[cfg(unix)]
#[test]
fn the_file_is_as_open_as_any() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
    let usual = folder.path().join("usual");
    fs::write(&usual, "").expect("written");
    let out = folder.path().join("out");
    logits(&[&fixture("llama-gqa"), "--ids", "1"], &out);
    assert_eq!(mode(&out), mode(&usual));
}
