//! Weights for models of any shape.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{Dtype, WeightError, WeightSource};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// Weights drawn from this seed, whatever tensor is asked for: around 1 for norms, around 0 for all others, and large enough
/// that a mistake shows.
pub struct RandomWeights(pub u64);

impl WeightSource for RandomWeights {
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
