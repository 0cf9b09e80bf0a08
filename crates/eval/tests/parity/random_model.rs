//! Models of any shape, with weights drawn from a seed.

use glass_backend::{Device, Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_config::LlamaConfig;
use glass_generate::Llama;
use glass_testing::{RandomWeights, with_windows};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// A model with this config.
pub fn llama(config: &LlamaConfig, seed: u64, device: &Device) -> Llama {
    let mut source = RandomWeights(seed);
    let weights = Weights::new(&mut source, device, Dtype::F32);
    let model = LlamaForCausalLM::load(weights, config).expect("every tensor is there");
    Llama::new(model, config, device, Dtype::F32)
}

/// A small Llama, whose layers may slide one by one, as Qwen2's do: `windows` has one entry per layer, `None` for full
/// attention.
pub fn config(windows: &[Option<usize>]) -> LlamaConfig {
    let config = LlamaConfig::from_json(
        r#"{"model_type": "llama", "vocab_size": 50, "hidden_size": 24, "intermediate_size": 40,
            "num_hidden_layers": 1, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5}"#,
        "test",
        &[],
    )
    .expect("a config");
    with_windows(config, windows)
}

/// `count` ids of the vocabulary of [`config`].
pub fn tokens(count: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.next_u32() % 50).collect()
}
