//! Models with random weights, of any shape and on any device, without a download.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{Device, Dtype, WeightError, WeightSource, WeightSpec, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{QuantRecipe, QuantizeOnLoad};
use glass_config::LlamaConfig;
use glass_generate::Llama;

use crate::Precision;

/// Random weights that keep activations finite and cost little to make: only their speed matters.
///
/// They depend on the order in which the model asks for them. A matrix that a device holds in parts is asked for from its
/// first row to its last, so the same seed gives the same model on every device.
pub struct RandomWeights(Xorshift32);

impl RandomWeights {
    pub fn new(seed: u32) -> Self {
        Self(Xorshift32::new(seed))
    }
}

/// Marsaglia 2003, "Xorshift RNGs".
#[derive(Clone, Copy, Debug)]
pub struct Xorshift32(u32);

impl Xorshift32 {
    /// A seed of zero, which xorshift would keep, counts as one.
    pub fn new(seed: u32) -> Self {
        Self(seed.max(1))
    }

    pub fn next_u32(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

impl WeightSource for RandomWeights {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, _dtype: Dtype) -> Result<TensorData, WeightError> {
        let row = weight.row_len();
        let scale = 1.0 / (row as f32).sqrt() / (1u32 << 31) as f32;
        let values: Vec<f32> = (0..rows.len() * row).map(|_| self.0.next_u32() as i32 as f32 * scale).collect();
        Ok(TensorData::new(values, weight.shape_of(&rows)))
    }
}

/// The seed of the models that are measured.
pub const SEED: u32 = 2_463_534_242;

/// A model of this shape on this device, loaded tensor by tensor: the host never holds more than one of them.
///
/// # Errors
/// The device cannot hold it.
pub fn random_model(
    config: &LlamaConfig,
    device: &Device,
    precision: Precision,
    seed: u32,
) -> Result<Llama, WeightError> {
    let (mut random, dtype) = (RandomWeights::new(seed), precision.dtype);
    let model = match precision.quantize {
        None => LlamaForCausalLM::load(Weights::new(&mut random, device, dtype), config)?,
        Some(format) => {
            let mut source = QuantizeOnLoad::new(random, QuantRecipe::new(format, config));
            source.fake_quantize = precision.fake_quantize;
            LlamaForCausalLM::load(Weights::new(&mut source, device, dtype), config)?
        }
    };
    Ok(Llama::new(model, config, device, precision))
}
