//! What tokens are rotated by, on a device.

use std::sync::Arc;

use burn::tensor::Tensor;

/// Cosines and sines, and which of them the tokens are rotated by.
#[derive(Clone, Debug)]
pub struct RopeAngles {
    /// Of each place the cosines of all pairs of a head, and then their sines: `[batch or 1, places, 2 * pairs]`, float32
    pub table: Arc<Tensor<3>>,
    /// The place of the first token; others are behind it, one after the other.
    pub first: usize,
    /// Whether pair i is `(x[2 i], x[2 i + 1])`, and not `(x[i], x[i + pairs])`.
    pub interleaved: bool,
}

impl RopeAngles {
    /// Pairs of a head that are rotated.
    pub fn pairs(&self) -> usize {
        self.table.dims()[2] / 2
    }

    /// `[batch or 1, tokens, 2 * pairs]`
    pub fn of_tokens(&self, tokens: usize) -> Tensor<3> {
        let table = Tensor::clone(&self.table);
        if table.dims()[1] == tokens { table } else { table.narrow(1, self.first, tokens) }
    }

    /// Cosines and sines `[batch or 1, 1, tokens, pairs]`, as tensor operations take them.
    pub fn cos_sin(&self, tokens: usize) -> [Tensor<4>; 2] {
        let (pairs, table) = (self.pairs(), self.of_tokens(tokens).unsqueeze_dim::<4>(1)); // [batch or 1, 1, tokens, 2 * pairs]
        [0, pairs].map(|from| table.clone().narrow(3, from, pairs))
    }
}
