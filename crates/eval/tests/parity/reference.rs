//! Against `transformers`: every fixture, both styles of config, every backend.

use std::path::Path;

use glass_backend::{Device, Dtype};
use glass_generate::{FinishReason, GenerateOptions, Llama, generate};
use glass_testing::devices;

use crate::fixture;

/// What separates rounding from a mistake (see the fixtures' README); software Vulkan rounds more.
pub struct Tolerance {
    pub logits: f32,
    pub attention: f32,
    pub hidden: f32,
}

pub fn tolerance(device: &Device) -> Tolerance {
    match devices::is_wgpu(device) {
        true => Tolerance { logits: 1e-3, attention: 1e-4, hidden: 1e-3 },
        false => Tolerance { logits: 1e-4, attention: 1e-5, hidden: 2e-4 },
    }
}

const ROPE: f32 = 3e-6;

#[test]
fn forward_passes_are_those_of_the_reference() {
    for device in devices::all() {
        for folder in fixture::all() {
            for legacy in [false, true] {
                let llama = fixture::load(&folder, legacy, &device, Dtype::F32);
                check_forward(&folder, &llama);
            }
        }
    }
}

fn check_forward(folder: &Path, llama: &Llama) {
    let expected = fixture::expected(folder);
    let rows = fixture::rows(&expected["input_ids"]);
    let mask = expected.get("attention_mask").map(fixture::mask);
    let found = fixture::forward(llama, &rows, mask.as_deref());
    let tolerance = tolerance(&llama.device);
    let who = format!("{} on {}", fixture::name(folder), llama.device.name());

    let check = |name: &str, axis, limit| {
        let difference = fixture::difference(&found[name], &expected[name], axis, mask.as_deref());
        assert!(difference <= limit, "{who}: {name} is {difference:e} off, {limit:e} allowed");
    };
    check("logits", 1, tolerance.logits);
    check("hidden.embed", 1, 0.0);
    check("hidden.norm", 1, tolerance.hidden);
    for layer in 0..llama.config.layers.len() {
        check(&format!("hidden.layer.{layer}"), 1, tolerance.hidden);
        check(&format!("attn.{layer}"), 2, tolerance.attention);
    }
    for name in ["cos", "sin"] {
        let half = &found[&format!("half.{name}")];
        let whole = &expected[&format!("rope.{name}")];
        let width = half.shape[2];
        assert_eq!(whole.shape, [half.shape[0], half.shape[1], 2 * width], "{who}");
        for (half, whole) in half.values.chunks(width).zip(whole.values.chunks(2 * width)) {
            for (i, value) in whole.iter().enumerate() {
                let difference = (half[i % width] - value).abs();
                assert!(difference <= ROPE, "{who}: rope.{name} is {difference:e} off");
            }
        }
    }
}

#[test]
fn greedy_texts_are_those_of_the_reference() {
    for device in devices::all() {
        for folder in fixture::all() {
            let llama = fixture::load(&folder, false, &device, Dtype::F32);
            let expected = fixture::expected(&folder);
            let prompts = fixture::rows(&expected["greedy.prompt_ids"]);
            let outputs = fixture::rows(&expected["greedy.output_ids"]);
            let masks = expected.get("greedy.attention_mask").map(fixture::mask);
            for (row, (prompt, output)) in prompts.iter().zip(&outputs).enumerate() {
                // A row of a batch generates what it generates alone, without its padding.
                let tokens: Vec<u32> = match &masks {
                    None => prompt.clone(),
                    Some(masks) => {
                        prompt.iter().zip(&masks[row]).filter_map(|(&id, &token)| token.then_some(id)).collect()
                    }
                };
                let new = &output[prompt.len()..];
                let options = GenerateOptions { score: true, ..GenerateOptions::new(new.len()) };
                let generated = generate(&llama, &tokens, &options, &mut |_| std::ops::ControlFlow::Continue(()));
                let generated = generated.expect("generated");
                let who = format!("{} row {row} on {}", fixture::name(&folder), device.name());
                assert_eq!(generated.ids, new, "{who}");
                assert_eq!(generated.finish_reason, FinishReason::Length, "{who}");
                let score = generated.score.expect("it was asked for");
                assert!(score < 0.0 && score.is_finite(), "{who}");
            }
        }
    }
}
