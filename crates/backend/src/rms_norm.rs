//! RMSNorm, of hidden states and, in some families, of queries and keys.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};

use crate::{KernelSet, WeightError, WeightRole, Weights};

/// Root mean square layer normalization: Zhang and Sennrich 2019, arXiv:1910.07467.
#[derive(Module, Debug)]
pub struct LlamaRmsNorm {
    weight: Param<Tensor<1>>,
    eps: f64,
    #[module(skip)]
    kernels: KernelSet,
}

impl LlamaRmsNorm {
    /// Norms vectors of `size`: the hidden size, or the head dimension for queries and keys.
    ///
    /// # Errors
    /// `weight` is missing or is not `[size]`.
    pub fn load(mut weights: Weights<'_>, size: usize, eps: f64) -> Result<Self, WeightError> {
        Ok(Self {
            weight: weights.vector("weight", size, WeightRole::Norm)?,
            eps,
            kernels: weights.device().kernel_set(),
        })
    }

    /// `x / sqrt(mean(x^2) + eps) * weight` along the last axis, the mean and the division in float32.
    ///
    /// `x` `[.., size]` -> the same shape
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        if let Some(normed) = self.kernels.rms_norm(&x, &weight, self.eps) {
            return normed;
        }
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let mean_square = x.clone().square().mean_dim(D - 1); // [.., 1]
        let normed = x / (mean_square + self.eps).sqrt(); // [.., size]
        normed.cast(dtype) * weight.unsqueeze() // [.., size]
    }

    /// `x + delta`, and the norm of that.
    ///
    /// `x` and `delta` `[.., size]` -> the same shape each
    pub fn forward_sum<const D: usize>(&self, x: Tensor<D>, delta: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let weight = self.weight.val();
        let summed = self.kernels.add_rms_norm(&x, &delta, &weight, self.eps);
        summed.unwrap_or_else(|| {
            let sum = x + delta; // [.., size]
            (sum.clone(), self.forward(sum))
        })
    }
}
