//! Softmax over keys that come in parts.
//!
//! Milakov and Gimelshein 2018, arXiv:1805.02867: keep the largest score so far, the sum of `e^(score - max)`, and the values
//! weighted by the same; a larger score scales both down.

/// What some of the keys give: for each row of queries the largest score, the sum of weights, and the weighted values.
pub(super) struct Part {
    pub max: Vec<f32>,
    pub sum: Vec<f32>,
    /// `[rows, head_dim]`
    pub values: Vec<f32>,
}

/// A score below all others: finite, so that it can be subtracted from itself.
pub(super) const LOWEST: f32 = f32::MIN;

impl Part {
    pub fn new(rows: usize, head_dim: usize) -> Self {
        Self { max: vec![LOWEST; rows], sum: vec![0.0; rows], values: vec![0.0; rows * head_dim] }
    }

    /// Adds the part of other keys.
    pub fn merge(&mut self, other: &Part, head_dim: usize) {
        for row in 0..self.sum.len() {
            let max = self.max[row].max(other.max[row]);
            let own = (self.max[row] - max).exp();
            let others = (other.max[row] - max).exp();
            self.max[row] = max;
            self.sum[row] = self.sum[row] * own + other.sum[row] * others;
            let row = row * head_dim..(row + 1) * head_dim;
            for (value, other) in self.values[row.clone()].iter_mut().zip(&other.values[row]) {
                *value = *value * own + other * others;
            }
        }
    }

    /// One row's result; zeros if it saw no key. A sink is one more score, without a value.
    pub fn finish(&self, row: usize, sink: Option<f32>, out: &mut [f32]) {
        let sum = self.sum[row];
        let factor = match sink {
            _ if sum == 0.0 => 0.0,
            None => 1.0 / sum,
            Some(sink) => {
                let max = self.max[row].max(sink);
                let own = (self.max[row] - max).exp();
                own / (sum * own + (sink - max).exp())
            }
        };
        let values = &self.values[row * out.len()..];
        for (out, value) in out.iter_mut().zip(values) {
            *out = value * factor;
        }
    }
}
