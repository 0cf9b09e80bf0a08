//! Models of any shape, with weights drawn from a seed.

use std::{ops::Range, path::PathBuf};

use burn::tensor::TensorData;
use glass_backend::{Device, Dtype, WeightError, WeightSource, Weights};
use glass_causal_lm::{Llama, LlamaForCausalLM, generate::GenerationConfig};
use glass_config::LlamaConfig;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// Weights large enough that a mistake shows, whatever tensor is asked for.
struct Random(u64);

impl WeightSource for Random {
    fn read(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
        _dtype: Dtype,
    ) -> Result<TensorData, WeightError> {
        // From the name, so that the values do not depend on the order in which modules ask.
        let seed = name.bytes().fold(self.0, |seed, byte| {
            seed.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte)
        });
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let row: usize = shape[1..].iter().product();
        let spread = match shape.len() {
            1 => 0.3,
            _ => 2.0 / (row as f32).sqrt(),
        };
        let offset = if name.contains("norm") { 1.0 } else { 0.0 };
        let mut uniform = || rng.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0;
        let values: Vec<f32> = (0..shape[0] * row)
            .map(|_| offset + spread * uniform())
            .collect();
        let mut part = shape.to_vec();
        part[0] = rows.len();
        let values = values[rows.start * row..rows.end * row].to_vec();
        Ok(TensorData::new(values, part))
    }
}

/// A model with this config.
pub fn llama(config: &LlamaConfig, seed: u64, device: &Device) -> Llama {
    let mut source = Random(seed);
    let weights = Weights::new(&mut source, device, Dtype::F32);
    Llama {
        model: LlamaForCausalLM::load(weights, config).expect("every tensor is there"),
        config: config.clone(),
        generation_config: GenerationConfig::default(),
        tokenizer: None,
        device: device.clone(),
        dtype: Dtype::F32,
        folder: PathBuf::new(),
        warnings: vec![],
    }
}

/// A small Llama, whose layers may slide one by one, as Qwen2's do: `windows` has one entry per layer, `None` for full
/// attention.
pub fn config(windows: &[Option<usize>]) -> LlamaConfig {
    let mut config = LlamaConfig::from_json(
        r#"{"model_type": "llama", "vocab_size": 50, "hidden_size": 24, "intermediate_size": 40,
            "num_hidden_layers": 1, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5}"#,
        "test",
        &[],
    )
    .expect("a config");
    config.num_hidden_layers = windows.len();
    config.layer_types = windows
        .iter()
        .map(
            |window| match window.and_then(std::num::NonZeroUsize::new) {
                Some(window) => glass_config::LayerType::Sliding { window },
                None => glass_config::LayerType::Full,
            },
        )
        .collect();
    config
}

/// `count` ids of the vocabulary of [`config`].
pub fn tokens(count: usize, seed: u64) -> Vec<u32> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.next_u32() % 50).collect()
}
