//! Models to measure (any shape, weights made on the fly, no download), and what many measurements say.

pub mod reader;

use std::{ops::Range, path::PathBuf};

use burn::tensor::TensorData;
use glass_backend::{Device, Dtype, WeightError, WeightSource, Weights};
use glass_causal_lm::{Llama, LlamaForCausalLM, generate::GenerationConfig};
use glass_config::LlamaConfig;
pub use reader::Reader;

/// Weights that keep activations finite and cost little to make. What they say is noise; how long they take is not.
struct Noise(u32);

impl WeightSource for Noise {
    fn read(
        &mut self,
        _name: &str,
        shape: &[usize],
        rows: Range<usize>,
        _dtype: Dtype,
    ) -> Result<TensorData, WeightError> {
        let row: usize = shape[1..].iter().product();
        let scale = 1.0 / (row as f32).sqrt() / (1u32 << 31) as f32;
        let values: Vec<f32> = (0..rows.len() * row)
            .map(|_| {
                // xorshift32: Marsaglia 2003, "Xorshift RNGs".
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 17;
                self.0 ^= self.0 << 5;
                self.0 as i32 as f32 * scale
            })
            .collect();
        let mut part = shape.to_vec();
        part[0] = rows.len();
        Ok(TensorData::new(values, part))
    }
}

/// A model of this shape on this device.
///
/// # Errors
/// A device that cannot hold it.
pub fn noise(config: &LlamaConfig, device: &Device, dtype: Dtype) -> Result<Llama, WeightError> {
    let mut source = Noise(2_463_534_242);
    Ok(Llama {
        model: LlamaForCausalLM::load(Weights::new(&mut source, device, dtype), config)?,
        config: config.clone(),
        generation_config: GenerationConfig::default(),
        tokenizer: None,
        device: device.clone(),
        dtype,
        folder: PathBuf::new(),
        warnings: vec![],
    })
}

/// The best and the median of some rates; `None` if nothing was measured.
pub fn best_and_median(rates: &mut [f64]) -> Option<(f64, f64)> {
    rates.sort_by(f64::total_cmp);
    Some((*rates.last()?, rates[rates.len() / 2]))
}
