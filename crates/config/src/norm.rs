//! Norms as data: what they compute, and where they are.

use crate::layer::AttentionConfig;

/// What a norm computes along the last axis of x `[.., size]`, in float32.
///
/// | | |
/// |---|---|
/// | RMSNorm, as in Llama | `Rms`, `Times` |
/// | RMSNorm of Gemma | `Rms`, `OnePlus` |
/// | LayerNorm | `Layer`, `Times`, with or without bias |
/// | LayerNorm of Nemotron | `Layer`, `OnePlus`, bias |
/// | LayerNorm of OLMo | `Layer`, `None`, no bias |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormConfig {
    pub kind: NormKind,
    pub weight: NormWeight,
    /// Whether a bias `[size]` is added at last.
    pub bias: bool,
    /// Added under the root.
    pub eps: f64,
}

/// What x is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// x / sqrt(mean(x^2) + eps): RMSNorm, arXiv:1910.07467.
    Rms,
    /// (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps): LayerNorm, arXiv:1607.06450.
    Layer,
}

/// What the quotient is multiplied by: something of the weight w `[size]`, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormWeight {
    /// Nothing: there is no weight.
    None,
    /// w.
    Times,
    /// 1 + w.
    OnePlus,
}

/// The norm of queries and keys, each with its own weights (`q_norm`, `k_norm`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QkNorm {
    pub norm: NormConfig,
    pub over: QkNormOver,
}

/// What one mean of a q/k norm is taken over, and the shape of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QkNormOver {
    /// Each head by itself; all heads share a weight `[head_dim]`.
    Head,
    /// Each head by itself, with its own weight: `[heads, head_dim]`.
    EachHead,
    /// All heads of a token together, before they are taken apart: `[heads * head_dim]`.
    Width,
}

/// Where the norms of a layer's two blocks (mixer and MLP) are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// On each block's input, as in Llama: x + block(norm(x)), with `input_layernorm` and `post_attention_layernorm`.
    Pre,
    /// On each block's output, as in OLMo 2: x + norm(block(x)), with `post_attention_layernorm` and
    /// `post_feedforward_layernorm`.
    Post,
    /// On both, as in Gemma 2: x + norm(block(norm(x))), with `input_layernorm`, `post_attention_layernorm`,
    /// `pre_feedforward_layernorm` and `post_feedforward_layernorm`.
    Sandwich,
    /// One norm, whose output both blocks read, as in Cohere: x + mixer(n) + mlp(n) with n = norm(x), `input_layernorm`.
    Parallel,
}

impl NormConfig {
    /// RMSNorm, as in Llama.
    pub fn rms(eps: f64) -> Self {
        Self { kind: NormKind::Rms, weight: NormWeight::Times, bias: false, eps }
    }

    /// LayerNorm with a weight.
    pub fn layer(eps: f64, bias: bool) -> Self {
        Self { kind: NormKind::Layer, weight: NormWeight::Times, bias, eps }
    }

    /// The same with 1 + w.
    pub fn one_plus(self) -> Self {
        Self { weight: NormWeight::OnePlus, ..self }
    }

    /// Numbers in its weight and bias, over vectors of `size`.
    pub fn num_parameters(&self, size: usize) -> usize {
        let vectors = usize::from(self.weight != NormWeight::None) + usize::from(self.bias);
        size.saturating_mul(vectors)
    }
}

impl QkNorm {
    /// Of queries and keys together.
    pub(crate) fn num_parameters(&self, attention: &AttentionConfig) -> usize {
        let size = match self.over {
            QkNormOver::Head => attention.head_dim.saturating_mul(2),
            QkNormOver::EachHead | QkNormOver::Width => attention.q_size().saturating_add(attention.kv_size()),
        };
        self.norm.num_parameters(size)
    }
}

impl NormPlacement {
    /// Norms of a layer with so many blocks.
    pub(crate) fn count(self, blocks: usize) -> usize {
        match self {
            Self::Parallel => 1,
            Self::Pre | Self::Post => blocks,
            Self::Sandwich => 2 * blocks,
        }
    }
}
