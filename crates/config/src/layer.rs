//! A layer as data: what each decoder layer computes, whatever family it comes from.

use std::num::NonZeroUsize;

use crate::values::Activation;

/// One decoder layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    pub mixer: MixerConfig,
    pub mlp: MlpConfig,
    pub norms: NormPlacement,
}

/// What carries information from token to token.
#[derive(Debug, Clone, PartialEq)]
pub enum MixerConfig {
    Attention(AttentionConfig),
}

/// Softmax attention, with grouped key/value heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionConfig {
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; each serves equally many query heads.
    pub num_key_value_heads: usize,
    /// Width of one head, even; not always hidden_size / num_attention_heads.
    pub head_dim: usize,
    /// Keys that a query sees, its own included: position i sees j if 0 <= i - j < window. `None`: all of the past.
    pub window: Option<NonZeroUsize>,
    /// Which of [`LlamaConfig::ropes`](crate::LlamaConfig::ropes) rotates queries and keys. `None`: nothing does (NoPE).
    pub rope: Option<usize>,
    /// Multiplies the scores q · k.
    pub scale: f64,
    /// Scores s become cap · tanh(s / cap).
    pub soft_cap: Option<f64>,
    /// Whether each head has a learned logit beside its scores, which takes its share of the softmax and adds nothing.
    pub sinks: bool,
    /// Whether each head's queries and keys are normalised (RMSNorm) before their rotation.
    pub qk_norm: bool,
    pub bias: AttentionBias,
}

/// Which projections of attention add a bias to their product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttentionBias {
    /// `q_proj`, `k_proj` and `v_proj`.
    pub q_k_v: bool,
    /// `o_proj`.
    pub o: bool,
}

/// What computes on each token by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum MlpConfig {
    Dense(DenseMlpConfig),
}

/// The gated MLP: down(act(gate(x)) · up(x)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseMlpConfig {
    /// Width between the projections.
    pub intermediate_size: usize,
    pub hidden_act: Activation,
    /// Whether `gate_proj`, `up_proj` and `down_proj` add a bias.
    pub bias: bool,
}

/// Where the norms of a layer's two blocks (mixer and MLP) are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// On each block's input, as in Llama: x + block(norm(x)).
    Pre,
    /// On each block's output, as in OLMo 2: x + norm(block(x)).
    Post,
    /// On both, as in Gemma 2: x + norm(block(norm(x))).
    Sandwich,
}

impl LayerConfig {
    /// The layer's attention, if attention is its mixer.
    pub fn attention(&self) -> Option<&AttentionConfig> {
        let MixerConfig::Attention(attention) = &self.mixer;
        Some(attention)
    }

    /// Numbers in the weights of its norms; as all counts here, `usize::MAX` where there would be more.
    pub fn norm_parameters(&self, hidden_size: usize) -> usize {
        let norms = match self.norms {
            NormPlacement::Pre | NormPlacement::Post => 2,
            NormPlacement::Sandwich => 4,
        };
        hidden_size.saturating_mul(norms)
    }
}

impl MixerConfig {
    /// Numbers in its weights.
    pub fn num_parameters(&self, hidden_size: usize) -> usize {
        let Self::Attention(attention) = self;
        let (q, kv) = (attention.q_size(), attention.kv_size());
        let qk_norm = 2 * usize::from(attention.qk_norm);
        sum([
            linear(q, hidden_size, attention.bias.q_k_v),
            linear(kv, hidden_size, attention.bias.q_k_v).saturating_mul(2),
            linear(hidden_size, q, attention.bias.o),
            attention.head_dim.saturating_mul(qk_norm),
            if attention.sinks {
                attention.num_attention_heads
            } else {
                0
            },
        ])
    }
}

impl MlpConfig {
    /// Numbers in its weights.
    pub fn num_parameters(&self, hidden_size: usize) -> usize {
        let Self::Dense(mlp) = self;
        let inner = mlp.intermediate_size;
        sum([
            linear(inner, hidden_size, mlp.bias).saturating_mul(2),
            linear(hidden_size, inner, mlp.bias),
        ])
    }
}

/// Numbers in the weights of one linear map.
fn linear(rows: usize, columns: usize, bias: bool) -> usize {
    rows.saturating_mul(columns.saturating_add(usize::from(bias)))
}

pub(crate) fn sum(counts: impl IntoIterator<Item = usize>) -> usize {
    counts.into_iter().fold(0, usize::saturating_add)
}

impl AttentionConfig {
    /// A plain Llama's: full, rotated by the first RoPE, its scores scaled by head_dim^-0.5.
    pub fn new(num_attention_heads: usize, num_key_value_heads: usize, head_dim: usize) -> Self {
        Self {
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            window: None,
            rope: Some(0),
            scale: (head_dim as f64).powf(-0.5),
            soft_cap: None,
            sinks: false,
            qk_norm: false,
            bias: AttentionBias::default(),
        }
    }

    /// Width of all queries together: num_attention_heads · head_dim.
    pub fn q_size(&self) -> usize {
        self.num_attention_heads.saturating_mul(self.head_dim)
    }

    /// Width of all keys, and of all values: num_key_value_heads · head_dim.
    pub fn kv_size(&self) -> usize {
        self.num_key_value_heads.saturating_mul(self.head_dim)
    }
}
