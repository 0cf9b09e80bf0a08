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

    /// Of what is projected: `x` `[batch, heads, seq, head_dim]` -> the same shape
    pub fn forward_by_head(&self, mut x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Head(norm) if norm.forward_in_place(&mut x) => x,
            _ => self.forward(x.swap_dims(1, 2)).swap_dims(1, 2), // as [batch, seq, heads, head_dim]
        }
    }

    /// `x` `[batch, seq, heads, head_dim]` -> the same shape
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Head(norm) => norm.forward(x),
            Self::EachHead(norm) => norm.forward(x),
            Self::Width(norm) => {
                let shape @ [batch, seq, heads, head_dim] = x.dims();
                norm.forward(x.reshape([batch, seq, heads * head_dim])).reshape(shape)
            }
        }
    }
}
