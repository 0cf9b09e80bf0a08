//! Weights for models of any shape.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{Dtype, WeightError, WeightRole, WeightSource, WeightSpec};

use crate::Random;

/// Weights drawn from this seed, whatever tensor is asked for: around 1 for norms, around 0 for all others, and large enough
/// that a mistake shows.
pub struct RandomWeights(pub u64);

impl WeightSource for RandomWeights {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, _dtype: Dtype) -> Result<TensorData, WeightError> {
        // From the name, so that the values do not depend on the order in which modules ask.
        let seed = weight.name.bytes().fold(self.0, |seed, byte| seed.wrapping_mul(0x100_0000_01b3) ^ u64::from(byte));
        let mut random = Random::new(seed);
        let row = weight.row_len();
        let spread = if weight.role.is_matrix() { 2.0 / (row as f32).sqrt() } else { 0.3 };
        let offset = f32::from(u8::from(weight.role == WeightRole::Norm));
        let values: Vec<f32> = (0..weight.rows() * row).map(|_| offset + spread * random.uniform() as f32).collect();
        let part = weight.shape_of(&rows);
        let values = values[rows.start * row..rows.end * row].to_vec();
        Ok(TensorData::new(values, part))
    }
}
