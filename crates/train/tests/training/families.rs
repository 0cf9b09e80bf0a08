//! Families of every shape learn.

use std::fs;

use glass_backend::{Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_config::LlamaConfig;
use glass_testing::{Random, fixtures};
use glass_train::{AdamW, Initializer, Recipe, Trainer};

use crate::devices;

/// Norms before, behind, both, parallel; of the width and of heads; rotation in part and of neighbours; sinks, soft caps and
/// multipliers; plain MLPs and learned activations; experts; recurrent layers, alone and beside attention.
#[rustfmt::skip]
const SHAPES: [&str; 14] = [
    "apertus", "cohere2", "gemma2", "glm4", "gpt_oss", "granite", "nemotron", "olmo2", "qwen2_moe", "stablelm",
    "mamba", "mamba2", "jamba", "recurrent_gemma",
];

#[test]
fn families_of_every_shape_learn() {
    let device = devices::flex();
    for name in SHAPES {
        let folder = fixtures::root().join("families").join(name);
        let text = fs::read_to_string(folder.join("config.json")).expect("a config");
        let config = LlamaConfig::from_json(&text, name, &[]).expect("a config");
        let mut fresh = Initializer::new(&config, 3);
        let training = device.training();
        let weights = Weights::new(&mut fresh, &training, Dtype::F32);
        let model = LlamaForCausalLM::load(weights, &config).expect("weights");
        let recipe = Recipe { steps: 12, learning_rate: 1e-2, warmup_steps: 2, ..Recipe::default() };
        let optimizer = AdamW::for_model(&recipe, &model, &config).expect("an optimizer");
        let mut trainer = Trainer::new(model, optimizer, &config, &device, &recipe, 0);

        let mut random = Random::new(5);
        let mut row = || (0..17).map(|_| (random.uniform().abs() * 127.0) as u32).collect::<Vec<u32>>();
        let rows = [row(), row()];
        let batch: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let mut step = || trainer.step(std::slice::from_ref(&batch)).expect("a step").loss;
        let losses: Vec<f64> = (0..12).map(|_| step()).collect();
        let (first, last) = (losses[0], losses[11]);
        assert!(last < 0.8 * first, "{name}: {losses:?}");
    }
}
