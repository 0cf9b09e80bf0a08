//! The embedding of token ids.

use burn::{
    module::Module,
    tensor::{Int, Tensor},
};

use crate::{Input, WeightError, WeightMatrix, WeightRole, Weights};

/// A table of vectors `[vocab, columns]`, one per token.
#[derive(Module, Debug)]
pub struct Embedding {
    weight: WeightMatrix,
}

impl Embedding {
    /// Loads `weight` `[vocab, columns]`.
    ///
    /// # Errors
    /// What the source says of it.
    pub fn load(mut weights: Weights<'_>, shape: [usize; 2]) -> Result<Self, WeightError> {
        Ok(Self { weight: WeightMatrix::load(&mut weights, "weight", shape, WeightRole::Embedding)? })
    }

    /// `ids` `[batch, seq]`, every id below `vocab` -> `[batch, seq, columns]`
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        if let Some(rows) = self.weight.select_in_place(&ids) {
            return rows; // [batch, seq, columns]
        }
        let [batch, seq] = ids.dims();
        let rows = self.weight.select(ids.flatten(0, 1)); // [batch * seq, columns]
        let columns = rows.dims()[1];
        rows.reshape([batch, seq, columns])
    }

    /// The product with the transposed table, as a tied head computes it: `x` `[batch, seq, columns]` -> `[batch, seq, vocab]`
    pub fn matmul_t<'a>(&self, x: impl Into<Input<'a, 3>>) -> Tensor<3> {
        self.weight.matmul_t(x)
    }
}
