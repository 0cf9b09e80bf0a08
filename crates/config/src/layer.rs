//! A layer as data: what each decoder layer computes, whatever family it comes from.

mod mlp;

use std::num::NonZeroUsize;

use crate::dual_chunk::DualChunk;
use crate::norm::{NormPlacement, QkNorm};
use crate::recurrent::{Mamba2Config, MambaConfig, RetentionConfig, RgLruConfig, StateShape};

pub use mlp::{DenseMlpConfig, ExpertsConfig, Gate, MlpConfig, RouterConfig, RouterWeights, SharedExpertConfig};

/// One decoder layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    pub mixer: MixerConfig,
    /// `None`: the mixer is all there is (Mamba).
    pub mlp: Option<MlpConfig>,
    /// Where the norms of its two blocks (mixer and MLP) are; what they compute is
    /// [`LlamaConfig::norm`](crate::LlamaConfig::norm).
    pub norms: NormPlacement,
    /// Multiplies what each block adds to the residual stream, behind its norm: x + multiplier · block(x).
    pub residual_multiplier: f64,
}

/// What carries information from token to token.
#[derive(Debug, Clone, PartialEq)]
pub enum MixerConfig {
    Attention(AttentionConfig),
    Mamba(MambaConfig),
    Retention(RetentionConfig),
    Mamba2(Mamba2Config),
    RgLru(RgLruConfig),
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
    /// How queries and keys are normalised before their rotation, if they are.
    pub qk_norm: Option<QkNorm>,
    /// Multiplies a rotated query by what its position says.
    pub temperature: Option<Temperature>,
    /// How positions are counted within chunks, if they are.
    pub dual_chunk: Option<DualChunk>,
    pub bias: AttentionBias,
}

/// A query at position p is multiplied by 1 + beta · ln(1 + floor(p / length)): scores sharpen as a text grows beyond
/// the trained length (Llama 4, Ministral 3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    pub beta: f64,
    /// In positions, at least 1.
    pub length: usize,
}

impl Temperature {
    /// What the query at this position is multiplied by.
    pub fn query_factor(self, position: usize) -> f64 {
        1.0 + self.beta * (1.0 + (position / self.length) as f64).ln()
    }
}

/// Which projections of attention add a bias to their product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttentionBias {
    /// `q_proj`, `k_proj` and `v_proj`.
    pub q_k_v: bool,
    /// `o_proj`.
    pub o: bool,
}

impl LayerConfig {
    /// The layer's attention, if attention is its mixer.
    pub fn attention(&self) -> Option<&AttentionConfig> {
        match &self.mixer {
            MixerConfig::Attention(attention) => Some(attention),
            _ => None,
        }
    }

    /// Blocks that add to the residual stream.
    pub fn num_blocks(&self) -> usize {
        1 + usize::from(self.mlp.is_some())
    }

    /// Numbers in the weights of its norms, each with `size` of them; as all counts here, `usize::MAX` where there would
    /// be more.
    pub fn norm_parameters(&self, size: usize) -> usize {
        size.saturating_mul(self.norms.count(self.num_blocks()))
    }
}

impl MixerConfig {
    /// Numbers in its weights.
    pub fn num_parameters(&self, hidden_size: usize) -> usize {
        match self {
            Self::Attention(attention) => attention.num_parameters(hidden_size),
            Self::Mamba(mamba) => mamba.num_parameters(hidden_size),
            Self::Retention(retention) => retention.num_parameters(hidden_size),
            Self::Mamba2(mamba) => mamba.num_parameters(hidden_size),
            Self::RgLru(lru) => lru.num_parameters(hidden_size),
        }
    }

    /// What papers and tables call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Attention(_) => "attention",
            Self::Mamba(_) => "Mamba",
            Self::Retention(_) => "retention",
            Self::Mamba2(_) => "Mamba-2",
            Self::RgLru(_) => "RG-LRU",
        }
    }

    /// What it keeps of a sequence if that is of fixed size. `None`: keys and values.
    pub fn state(&self) -> Option<StateShape> {
        match self {
            Self::Attention(_) => None,
            Self::Mamba(mamba) => Some(mamba.state()),
            Self::Retention(retention) => Some(retention.state()),
            Self::Mamba2(mamba) => Some(mamba.state()),
            Self::RgLru(lru) => Some(lru.state()),
        }
    }

    /// Values per token in its widest activation.
    pub fn width(&self) -> usize {
        match self {
            Self::Attention(attention) => attention.q_size(),
            Self::Mamba(mamba) => mamba.intermediate_size.saturating_mul(2),
            Self::Retention(retention) => retention.value_size().max(retention.key_size()),
            Self::Mamba2(mamba) => mamba.projected(),
            Self::RgLru(lru) => lru.width,
        }
    }
}

impl AttentionConfig {
    fn num_parameters(&self, hidden_size: usize) -> usize {
        let attention = self;
        let (q, kv) = (attention.q_size(), attention.kv_size());
        sum([
            linear(q, hidden_size, attention.bias.q_k_v),
            linear(kv, hidden_size, attention.bias.q_k_v).saturating_mul(2),
            linear(hidden_size, q, attention.bias.o),
            attention.qk_norm.map_or(0, |qk_norm| qk_norm.num_parameters(attention)),
            if attention.sinks { attention.num_attention_heads } else { 0 },
        ])
    }
}

/// Numbers in the weights of one linear map.
pub(crate) fn linear(rows: usize, columns: usize, bias: bool) -> usize {
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
            qk_norm: None,
            temperature: None,
            dual_chunk: None,
            bias: AttentionBias::default(),
        }
    }

    /// What the query at this position is multiplied by; `None`: whichever it is, by nothing.
    pub fn query_factor(&self, position: usize) -> Option<f64> {
        let temperature = self.temperature.map(|temperature| temperature.query_factor(position));
        let dual_chunk = self.dual_chunk.filter(|dual_chunk| dual_chunk.original_max_position_embeddings.is_some());
        let factors = [temperature, dual_chunk.map(|dual_chunk| dual_chunk.query_factor(position))];
        factors.into_iter().flatten().reduce(|a, b| a * b)
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
