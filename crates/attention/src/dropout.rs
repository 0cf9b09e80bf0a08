//! Dropout, for training alone.

use burn::tensor::{Distribution, Tensor};

/// Sets each value to zero with probability `p` and divides the others by `1 - p`, so that the mean stays.
/// Srivastava et al. 2014, JMLR 15(56).
///
/// Drawn from the device's generator, which the trainer seeds before every step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dropout {
    /// 0: nothing is dropped, and nothing computed; below 1.
    pub p: f64,
}

impl Dropout {
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        if self.p == 0.0 {
            return x;
        }
        let keep = 1.0 - self.p;
        let kept = x.random_like(Distribution::Bernoulli(keep)); // as x
        x * kept / keep
    }
}

/// Where a pass drops values: nowhere, except in training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dropouts {
    /// Attention probabilities: `attention_dropout` of the config.
    pub attention: Dropout,
    /// The embeddings, and what each attention and MLP adds to the residual stream: GPT-2's `embd_pdrop` and
    /// `resid_pdrop` (Radford et al. 2019); configs of the Llama family have no field for them.
    pub residual: Dropout,
}
