use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use glass_backend::{WeightError, Weights};

/// Root mean square layer normalization: Zhang and Sennrich 2019, arXiv:1910.07467.
#[derive(Module, Debug)]
pub struct LlamaRmsNorm {
    weight: Param<Tensor<1>>,
    eps: f64,
}

impl LlamaRmsNorm {
    /// # Errors
    /// `weight` is missing or is not `[hidden_size]`.
    pub fn load(
        mut weights: Weights<'_>,
        hidden_size: usize,
        eps: f64,
    ) -> Result<Self, WeightError> {
        Ok(Self {
            weight: weights.vector("weight", hidden_size)?,
            eps,
        })
    }

    /// `x / sqrt(mean(x^2) + eps) * weight`, the mean and the division in float32.
    ///
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let mean_square = x.clone().square().mean_dim(2); // [batch, seq, 1]
        let normed = x / (mean_square + self.eps).sqrt(); // [batch, seq, hidden_size]
        normed.cast(dtype) * self.weight.val().unsqueeze() // [batch, seq, hidden_size]
    }
}
