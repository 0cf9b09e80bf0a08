//! The result of a run: a folder like any other model's.

use std::{fs, num::NonZeroUsize, ops::ControlFlow};

use glass_eval::{Windows, token_nlls};
use glass_generate::{Llama, PrefillOptions};
use glass_train::Recipe;
use serde_json::json;

use crate::{
    devices,
    runs::{TEXT, TestFolder, column, config, metrics, recipe, tensor, weights},
};

fn load(folder: &std::path::Path) -> Llama {
    Llama::open(folder, devices::flex()).expect("a folder in the Hugging Face layout")
}

/// The folder loads without warnings, and its loss on the held-out text is the one in its metrics.
#[test]
fn the_folder_loads_and_scores_as_its_metrics_say() {
    let test_folder = TestFolder::new();
    for (name, fields) in [
        ("full", json!({})),
        (
            "window",
            json!({"model_type": "mistral", "sliding_window": 5}),
        ),
    ] {
        let folder = test_folder.train(name, &config(fields), &recipe());
        let llama = load(&folder);
        assert_eq!(llama.warnings, Vec::<String>::new());
        let tokenizer = llama.tokenizer().expect("a tokenizer");

        let held_out = &TEXT[(TEXT.len() as f64 * 0.9) as usize..];
        let encoded = tokenizer.encode_with_bytes(held_out).expect("ids");
        assert_eq!(
            tokenizer.decode(encoded.ids(), false).expect("text"),
            held_out
        );
        let windows = Windows::new(NonZeroUsize::new(16).unwrap(), None).expect("windows");
        let scored = token_nlls(
            &llama,
            encoded.ids(),
            windows,
            PrefillOptions::default(),
            &mut |_| ControlFlow::Continue(()),
        );
        let scored = scored.expect("losses");
        assert_eq!(scored.len(), held_out.len() - 1);
        let mean = scored.iter().sum::<f64>() / scored.len() as f64;
        let losses = column(&metrics(&folder), "val_loss");
        let last = losses.last().expect("an evaluation");
        assert!((mean - last).abs() < 1e-6, "{mean} {last}");

        let svg = fs::read_to_string(folder.join("loss.svg")).expect("a plot");
        assert!(svg.contains("<svg") && svg.trim_end().ends_with("</svg>"));
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        let expected = "config.json generation_config.json loss.svg metrics.jsonl model.safetensors \
                        tokenizer.json tokenizer_config.json training";
        assert_eq!(names.join(" "), expected);
    }
}

/// Biases move away from 0, norms away from 1, and an untied head away from the embedding.
#[test]
fn every_tensor_learns() {
    let test_folder = TestFolder::new();
    let fields = json!({"attention_bias": true, "mlp_bias": true, "tie_word_embeddings": false});
    let folder = test_folder.train("biases", &config(fields), &recipe());
    assert_eq!(load(&folder).warnings, Vec::<String>::new());
    for (part, matrices) in [
        (
            "self_attn",
            ["q_proj", "k_proj", "v_proj", "o_proj"].as_slice(),
        ),
        ("mlp", &["gate_proj", "up_proj", "down_proj"]),
    ] {
        for (layer, matrix) in [0, 1]
            .into_iter()
            .flat_map(|l| matrices.iter().map(move |m| (l, m)))
        {
            let name = format!("model.layers.{layer}.{part}.{matrix}.bias");
            let bias = tensor(&folder, &name);
            let far = bias.iter().filter(|x| x.abs() > 1e-3).count();
            assert!(far * 2 > bias.len(), "{name}: {bias:?}");
        }
    }
    for norm in [
        "layers.0.input_layernorm",
        "layers.1.post_attention_layernorm",
        "norm",
    ] {
        let weight = tensor(&folder, &format!("model.{norm}.weight"));
        assert!(
            weight.iter().all(|x| (x - 1.0).abs() > 1e-4),
            "{norm}: {weight:?}"
        );
    }
    assert_ne!(
        tensor(&folder, "lm_head.weight"),
        tensor(&folder, "model.embed_tokens.weight")
    );
}

/// Gradient accumulation equals a larger batch, up to rounding.
#[test]
fn accumulation_equals_a_larger_batch() {
    let test_folder = TestFolder::new();
    let config = config(json!({}));
    let [parts, whole] = [(4, 2), (8, 1)].map(|(batch, accumulate)| {
        let recipe = Recipe {
            batch,
            accumulate,
            ..recipe()
        };
        metrics(&test_folder.train(&format!("batch-{batch}"), &config, &recipe))
    });
    for (field, tolerance) in [
        ("train_loss", 1e-4),
        ("grad_norm", 2e-3),
        ("val_loss", 1e-4),
    ] {
        let (a, b) = (column(&parts, field), column(&whole, field));
        assert_eq!(a.len(), b.len());
        assert!(!a.is_empty());
        for (a, b) in a.iter().zip(&b) {
            assert!((a / b - 1.0).abs() < tolerance, "{field}: {a} {b}");
        }
    }
    assert_eq!(column(&parts, "tokens"), column(&whole, "tokens"));
    assert_eq!(column(&parts, "tokens")[0], 8.0 * 16.0);
}

/// Equal seeds give equal runs, other seeds other runs.
#[test]
fn a_run_can_be_repeated() {
    let test_folder = TestFolder::new();
    let train = |output: &str, seed| {
        let recipe = Recipe { seed, ..recipe() };
        test_folder.train(output, &config(json!({})), &recipe)
    };
    let [a, b, c] = [("a", 1), ("b", 1), ("c", 2)].map(|(output, seed)| train(output, seed));
    assert_eq!(metrics(&a), metrics(&b));
    assert!(weights(&a) == weights(&b));
    assert_ne!(metrics(&a), metrics(&c));
}
