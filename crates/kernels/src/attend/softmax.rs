//! Softmax over keys that come in pieces.
//!
//! Milakov and Gimelshein 2018, arXiv:1805.02867: keep the largest score so far, the sum of `e^(score - largest)`, and
//! the values weighed by the same; a larger score scales both down.

/// What some of the keys give: for each row of queries the largest score, the sum, and the weighed values.
pub(super) struct Part {
    pub largest: Vec<f32>,
    pub sum: Vec<f32>,
    /// `[rows, head_dim]`
    pub mixed: Vec<f32>,
}

/// What no score is below: finite, so that it can be subtracted from itself.
pub(super) const LOWEST: f32 = f32::MIN;

impl Part {
    pub fn new(rows: usize, head_dim: usize) -> Self {
        Self {
            largest: vec![LOWEST; rows],
            sum: vec![0.0; rows],
            mixed: vec![0.0; rows * head_dim],
        }
    }

    /// Takes in what other keys give.
    pub fn merge(&mut self, other: &Part, head_dim: usize) {
        for row in 0..self.sum.len() {
            let largest = self.largest[row].max(other.largest[row]);
            let own = (self.largest[row] - largest).exp();
            let others = (other.largest[row] - largest).exp();
            self.largest[row] = largest;
            self.sum[row] = self.sum[row] * own + other.sum[row] * others;
            let mixed = row * head_dim..(row + 1) * head_dim;
            for (mixed, other) in self.mixed[mixed.clone()]
                .iter_mut()
                .zip(&other.mixed[mixed])
            {
                *mixed = *mixed * own + other * others;
            }
        }
    }

    /// One row's result; zeros if it saw no key.
    pub fn finish(&self, row: usize, out: &mut [f32]) {
        let factor = if self.sum[row] == 0.0 {
            0.0
        } else {
            1.0 / self.sum[row]
        };
        let mixed = &self.mixed[row * out.len()..];
        for (out, mixed) in out.iter_mut().zip(mixed) {
            *out = mixed * factor;
        }
    }
}
