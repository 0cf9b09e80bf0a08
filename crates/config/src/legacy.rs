//! The config as it was before layers were data, for the crates that still read it so.
//!
//! All of it is computed from [`LlamaConfig::layers`](crate::LlamaConfig) and `ropes`, and none of it can be set. The
//! file goes with its last user.

use std::num::NonZeroUsize;

use crate::families::Plain;
use crate::layer::LayerConfig;
use crate::rope::{RopeParameters, RopeScaling};
use crate::values::Activation;

/// What the layers have in common; [`LlamaConfig`](crate::LlamaConfig) dereferences to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Flat {
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    pub head_dim: usize,
    pub hidden_act: Activation,
    pub rope_parameters: FlatRope,
    pub bias: Bias,
    pub layer_types: Vec<LayerType>,
}

/// What one layer's attention may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerType {
    Full,
    /// As [`AttentionConfig::window`](crate::AttentionConfig::window).
    Sliding {
        window: NonZeroUsize,
    },
}

/// Which projections add a bias to their product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bias {
    pub q_k_v: bool,
    pub o: bool,
    pub mlp: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FlatRope {
    pub rope_theta: f64,
    pub rope_type: RopeType,
}

/// As [`RopeScaling`].
#[derive(Debug, Clone, PartialEq)]
pub enum RopeType {
    Default,
    Linear {
        factor: f64,
    },
    Dynamic {
        factor: f64,
    },
    Yarn {
        factor: f64,
        original_max_position_embeddings: usize,
        beta_fast: f64,
        beta_slow: f64,
        attention_factor: Option<f64>,
        mscale: Option<f64>,
        mscale_all_dim: Option<f64>,
        truncate: bool,
    },
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_max_position_embeddings: usize,
    },
    Longrope {
        short_factor: Vec<f64>,
        long_factor: Vec<f64>,
        factor: f64,
        original_max_position_embeddings: usize,
        attention_factor: Option<f64>,
    },
}

impl Flat {
    pub(crate) fn of(layers: &[LayerConfig], ropes: &[RopeParameters]) -> Self {
        let Plain {
            layers: count,
            attention,
            mlp,
        } = Plain::of(layers);
        let windows = layers
            .iter()
            .map(|layer| layer.attention().and_then(|attention| attention.window));
        Self {
            intermediate_size: mlp.intermediate_size,
            num_hidden_layers: count,
            num_attention_heads: attention.num_attention_heads,
            num_key_value_heads: attention.num_key_value_heads,
            head_dim: attention.head_dim,
            hidden_act: mlp.hidden_act,
            rope_parameters: FlatRope {
                rope_theta: ropes.first().map_or(1.0, |rope| rope.rope_theta),
                rope_type: ropes
                    .first()
                    .map_or(RopeType::Default, |rope| RopeType::of(&rope.scaling)),
            },
            bias: Bias {
                q_k_v: attention.bias.q_k_v,
                o: attention.bias.o,
                mlp: mlp.bias,
            },
            layer_types: windows
                .map(|window| {
                    window.map_or(LayerType::Full, |window| LayerType::Sliding { window })
                })
                .collect(),
        }
    }

    pub fn q_size(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    pub fn kv_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    pub fn groups(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }
}

impl RopeType {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Linear { .. } => "linear",
            Self::Dynamic { .. } => "dynamic",
            Self::Yarn { .. } => "yarn",
            Self::Llama3 { .. } => "llama3",
            Self::Longrope { .. } => "longrope",
        }
    }

    fn of(scaling: &RopeScaling) -> Self {
        match scaling.clone() {
            RopeScaling::Default => Self::Default,
            RopeScaling::Linear(s) => Self::Linear { factor: s.factor },
            RopeScaling::Dynamic(s) => Self::Dynamic { factor: s.factor },
            RopeScaling::Yarn(s) => Self::Yarn {
                factor: s.factor,
                original_max_position_embeddings: s.original_max_position_embeddings,
                beta_fast: s.beta_fast,
                beta_slow: s.beta_slow,
                attention_factor: s.attention_factor,
                mscale: s.mscale,
                mscale_all_dim: s.mscale_all_dim,
                truncate: s.truncate,
            },
            RopeScaling::Llama3(s) => Self::Llama3 {
                factor: s.factor,
                low_freq_factor: s.low_freq_factor,
                high_freq_factor: s.high_freq_factor,
                original_max_position_embeddings: s.original_max_position_embeddings,
            },
            RopeScaling::Longrope(s) => Self::Longrope {
                short_factor: s.short_factor,
                long_factor: s.long_factor,
                factor: s.factor,
                original_max_position_embeddings: s.original_max_position_embeddings,
                attention_factor: s.attention_factor,
            },
        }
    }
}
