//! A tiny model learns.

use std::collections::HashMap;

use glass_train::{Recipe, Run};
use serde_json::json;

use crate::{
    devices,
    runs::{TestFolder, column, config, metrics, to_the_end},
};

/// The loss of the best prediction from token frequencies alone, in nats.
fn unigram_entropy(ids: &[u32]) -> f64 {
    let mut counts = HashMap::<u32, f64>::new();
    for &id in ids {
        *counts.entry(id).or_default() += 1.0;
    }
    let n = ids.len() as f64;
    counts.values().map(|count| -count / n * (count / n).ln()).sum()
}

/// On every device, with full attention and with a window shorter than the context, on the training text and on the
/// held-out tail.
#[test]
fn the_loss_falls_below_the_unigram_entropy() {
    let recipe = Recipe {
        steps: 40,
        batch: 8,
        context: 32,
        learning_rate: 2e-2,
        warmup_steps: 5,
        eval_every: 40,
        save_every: 40,
        ..Recipe::default()
    };
    let window = json!({"model_type": "mistral", "sliding_window": 8, "hidden_size": 32, "num_hidden_layers": 1});
    for device in devices::all() {
        for (name, fields) in [("full", json!({"hidden_size": 32, "num_hidden_layers": 1})), ("window", window.clone())]
        {
            let folder = TestFolder::new();
            let mut start = folder.start(name, &config(fields), &recipe);
            start.device = device.clone();
            let mut run = Run::start(start).expect("a run");
            let unigrams = unigram_entropy(&run.corpus().train);
            let outcome = to_the_end(&mut run);
            assert!(outcome.complete && outcome.step == 40);

            let losses = column(&metrics(run.folder()), "train_loss");
            assert_eq!(losses.len(), 40);
            let last = losses[35..].iter().sum::<f64>() / 5.0;
            let held_out = outcome.held_out_loss.expect("an evaluation");
            let case = format!(
                "{name} on {}: from {:.3} to {last:.3}, held-out {held_out:.3}, unigrams {unigrams:.3}",
                device.name(),
                losses[0]
            );
            assert!(losses[0] > unigrams, "{case}");
            assert!(last < unigrams - 0.2, "{case}");
            assert!(held_out < unigrams, "{case}");
        }
    }
}
