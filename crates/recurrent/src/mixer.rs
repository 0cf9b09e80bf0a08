//! What a layer has in place of attention.

use burn::{module::Module, tensor::Tensor};
use glass_attention::ForwardContext;
use glass_backend::{WeightError, Weights};
use glass_config::MixerConfig;
use glass_kv_cache::LayerState;

use crate::{Mamba2Mixer, MambaMixer, RetentionMixer, RgLruMixer};

/// A mixer of one kind.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a layer has one, and a few hundred bytes are nothing beside its weights"
)]
pub enum RecurrentMixer {
    Mamba(MambaMixer),
    Retention(RetentionMixer),
    Mamba2(Mamba2Mixer),
    RgLru(RgLruMixer),
}

impl RecurrentMixer {
    /// The mixer of this layer. `None`: the config is of attention.
    ///
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        weights: Weights<'_>,
        config: &MixerConfig,
        hidden_size: usize,
        layer: usize,
    ) -> Result<Option<Self>, WeightError> {
        Ok(match config {
            MixerConfig::Attention(_) => None,
            MixerConfig::Mamba(mamba) => Some(Self::Mamba(MambaMixer::load(weights, mamba, hidden_size, layer)?)),
            MixerConfig::Retention(retention) => {
                Some(Self::Retention(RetentionMixer::load(weights, retention, hidden_size, layer)?))
            }
            MixerConfig::Mamba2(mamba) => Some(Self::Mamba2(Mamba2Mixer::load(weights, mamba, hidden_size, layer)?)),
            MixerConfig::RgLru(lru) => Some(Self::RgLru(RgLruMixer::load(weights, lru, hidden_size, layer)?)),
        })
    }

    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `states` are this layer's, one for each sequence of the pass.
    pub fn forward(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        match self {
            Self::Mamba(mamba) => mamba.forward(x, states, ctx),
            Self::Retention(retention) => retention.forward(x, states, ctx),
            Self::Mamba2(mamba) => mamba.forward(x, states, ctx),
            Self::RgLru(lru) => lru.forward(x, states, ctx),
        }
    }
}
