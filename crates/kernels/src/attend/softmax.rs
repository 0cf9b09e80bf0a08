//! Softmax over keys that come in parts.
//!
//! Milakov and Gimelshein 2018, arXiv:1805.02867: keep the largest score so far, the sum of `e^(score - max)`, and the values
//! weighted by the same; a larger score scales both down.

use crate::scratch::Scratch;

/// What some of the keys give: for each row of queries the largest score, the sum of weights, and the weighted values.
pub(super) struct Part {
    /// Values, scores, sums.
    numbers: Scratch,
    rows: usize,
    head_dim: usize,
}

/// The same, taken apart.
pub(super) struct Sums<'a> {
    pub max: &'a mut [f32],
    pub sum: &'a mut [f32],
    /// `[rows, head_dim]`
    pub values: &'a mut [f32],
}

/// A score below all others: finite, so that it can be subtracted from itself.
pub(super) const LOWEST: f32 = f32::MIN;

impl Part {
    pub fn new(rows: usize, head_dim: usize) -> Self {
        let mut part = Self { numbers: Scratch::zeroed::<f32>(rows * (head_dim + 2)), rows, head_dim };
        part.sums().max.fill(LOWEST);
        part
    }

    #[inline(always)]
    pub fn sums(&mut self) -> Sums<'_> {
        let (values, rest) = self.numbers.values_mut().split_at_mut(self.rows * self.head_dim);
        let (max, rest) = rest.split_at_mut(self.rows);
        Sums { max, sum: &mut rest[..self.rows], values }
    }

    /// The largest score and the sum of weights of a row, and its values `[head_dim]`.
    fn row(&self, row: usize) -> (f32, f32, &[f32]) {
        let (values, rest) = self.numbers.values().split_at(self.rows * self.head_dim);
        (rest[row], rest[self.rows + row], &values[row * self.head_dim..(row + 1) * self.head_dim])
    }

    /// Adds the part of other keys.
    pub fn merge(&mut self, other: &Part) {
        let head_dim = self.head_dim;
        let Sums { max, sum, values } = self.sums();
        for (row, (max, sum)) in max.iter_mut().zip(sum).enumerate() {
            let (other_max, other_sum, others_values) = other.row(row);
            let larger = max.max(other_max);
            let own = (*max - larger).exp();
            let others = (other_max - larger).exp();
            *max = larger;
            *sum = *sum * own + other_sum * others;
            for (value, other) in values[row * head_dim..(row + 1) * head_dim].iter_mut().zip(others_values) {
                *value = *value * own + other * others;
            }
        }
    }

    /// One row's result; zeros if it saw no key. A sink is one more score, without a value.
    pub fn finish(&self, row: usize, sink: Option<f32>, out: &mut [f32]) {
        let (max, sum, values) = self.row(row);
        let factor = match sink {
            _ if sum == 0.0 => 0.0,
            None => 1.0 / sum,
            Some(sink) => {
                let larger = max.max(sink);
                let own = (max - larger).exp();
                own / (sum * own + (sink - larger).exp())
            }
        };
        for (out, value) in out.iter_mut().zip(values) {
            *out = value * factor;
        }
    }
}
