//! How tokens are to be drawn where the logits are.

use burn::tensor::{Device as BurnDevice, Tensor, TensorData};

/// How a token is drawn from a row of logits, in numbers: the rules of a sampler that need nothing but the row, in their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The logits are divided by this, which is above 0.
    pub temperature: f32,
    /// Only the k most probable tokens, and those that tie with the last; 0: all.
    pub top_k: usize,
    /// Only the fewest most probable tokens that together have at least this probability; 1: all.
    pub top_p: f32,
    /// Only tokens at least this fraction as probable as the most probable one; 0: all.
    pub min_p: f32,
    /// In [0, 1): it falls into one token's stretch of the cumulative sum.
    pub uniform: f64,
}

/// Draws from several rows, on a device.
#[derive(Clone, Debug)]
pub struct Draws {
    /// Of each row temperature, k, p, min-p, and 1 - the uniform number: `[n, 5]`
    pub numbers: Tensor<2>,
    /// Whether any row has such a rule.
    pub top_k: bool,
    pub top_p: bool,
}

impl Draws {
    /// Sends 20 bytes for each row to a device.
    pub fn new(draws: &[Draw], device: &BurnDevice) -> Self {
        let numbers = draws.iter().flat_map(|draw| {
            let Draw { temperature, top_k, top_p, min_p, uniform } = *draw;
            [temperature, top_k as f32, top_p, min_p, (1.0 - uniform) as f32]
        });
        let numbers: Vec<f32> = numbers.collect();
        let shape = [draws.len(), numbers.len() / draws.len().max(1)];
        Self {
            numbers: Tensor::from_data(TensorData::new(numbers, shape), device),
            top_k: draws.iter().any(|draw| draw.top_k > 0),
            top_p: draws.iter().any(|draw| draw.top_p < 1.0),
        }
    }

    /// How many they are.
    pub fn rows(&self) -> usize {
        self.numbers.dims()[0]
    }

    /// Those of the rows from `start` on.
    #[must_use]
    pub fn narrow(&self, start: usize, rows: usize) -> Self {
        let all = self.rows() == rows;
        let numbers = self.numbers.clone();
        Self { numbers: if all { numbers } else { numbers.narrow(0, start, rows) }, ..self.clone() }
    }
}
