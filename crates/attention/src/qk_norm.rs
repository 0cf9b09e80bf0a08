//! The norm of queries and of keys, before their rotation.

use burn::{module::Module, tensor::Tensor};
use glass_backend::{HeadNorm, Norm, WeightError, Weights};
use glass_config::{QkNorm as QkNormConfig, QkNormOver};

/// What keeps scores from growing with the widths of queries and keys: Henry et al. 2020, arXiv:2010.04245; Dehghani et al.
/// 2023, arXiv:2302.05442.
#[derive(Module, Debug)]
pub enum QkNorm {
    /// Each head by itself, with one weight for all of them (Qwen 3, Gemma 3).
    Head(Norm),
    /// Each head by itself, with its own weight (StableLM 2).
    EachHead(HeadNorm),
    /// All heads of a token together (OLMo 2).
    Width(Norm),
}

impl QkNorm {
    /// Of so many heads.
    ///
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        weights: Weights<'_>,
        config: &QkNormConfig,
        heads: usize,
        head_dim: usize,
    ) -> Result<Self, WeightError> {
        let norm = &config.norm;
        Ok(match config.over {
            QkNormOver::Head => Self::Head(Norm::load(weights, head_dim, norm)?),
            QkNormOver::EachHead => Self::EachHead(HeadNorm::load(weights, [heads, head_dim], norm)?),
            QkNormOver::Width => Self::Width(Norm::load(weights, heads * head_dim, norm)?),
        })
    }

    /// Norms what a projection gives, and takes it apart into heads with `split`.
    ///
    /// `y` `[batch, seq, heads * head_dim]` -> `[batch, heads, seq, head_dim]`
    pub fn split(&self, y: Tensor<3>, split: impl FnOnce(Tensor<3>) -> Tensor<4>) -> Tensor<4> {
        match self {
            Self::Head(norm) => norm.forward(split(y)),
            Self::EachHead(norm) => norm.forward(split(y)),
            Self::Width(norm) => split(norm.forward(y)),
        }
    }
}
