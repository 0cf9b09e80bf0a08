//! A layer as data: what it mixes tokens with, its MLP, and where its norms are.

use std::num::NonZeroUsize;

use crate::{Activation, LayerType, LlamaConfig};

/// One decoder layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    pub mixer: MixerConfig,
    pub mlp: MlpConfig,
    pub norms: NormPlacement,
}

/// How a layer mixes the tokens of a sequence.
#[derive(Debug, Clone, PartialEq)]
pub enum MixerConfig {
    Attention(AttentionConfig),
}

/// Attention of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionConfig {
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    /// Exactly so many keys, the query's own included; `None`: all earlier positions.
    pub window: Option<NonZeroUsize>,
    /// Index into the model's RoPEs; `None`: the layer has no positions.
    pub rope: Option<usize>,
    pub scale: f64,
    pub soft_cap: Option<f64>,
    pub sinks: bool,
    pub qk_norm: bool,
    pub bias: AttentionBias,
}

/// Which projections of attention add a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionBias {
    pub q_k_v: bool,
    pub o: bool,
}

/// The MLP of one layer.
#[derive(Debug, Clone, PartialEq)]
pub enum MlpConfig {
    Dense(DenseMlpConfig),
}

/// One gated MLP.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseMlpConfig {
    pub intermediate_size: usize,
    pub hidden_act: Activation,
    pub bias: bool,
}

/// Where a layer norms what its two blocks read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// What a block reads (Llama).
    Pre,
    /// What a block adds to the residual stream (OLMo 2).
    Post,
    /// Both (Gemma 2).
    Sandwich,
}

impl LlamaConfig {
    /// TODO at the merge with w/config: `config.layers[i]`.
    pub fn layer(&self, i: usize) -> LayerConfig {
        LayerConfig {
            mixer: MixerConfig::Attention(AttentionConfig {
                num_attention_heads: self.num_attention_heads,
                num_key_value_heads: self.num_key_value_heads,
                head_dim: self.head_dim,
                window: match self.layer_types[i] {
                    LayerType::Full => None,
                    LayerType::Sliding { window } => Some(window),
                },
                rope: Some(0),
                scale: (self.head_dim as f64).powf(-0.5),
                soft_cap: None,
                sinks: false,
                qk_norm: false,
                bias: AttentionBias {
                    q_k_v: self.bias.q_k_v,
                    o: self.bias.o,
                },
            }),
            mlp: MlpConfig::Dense(DenseMlpConfig {
                intermediate_size: self.intermediate_size,
                hidden_act: self.hidden_act,
                bias: self.bias.mlp,
            }),
            norms: NormPlacement::Pre,
        }
    }
}
