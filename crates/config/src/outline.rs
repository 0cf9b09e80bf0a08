//! A config between JSON and layers.

use std::num::NonZeroUsize;

use crate::layer::{AttentionConfig, DenseMlpConfig, ExpertsConfig, Gate, LayerConfig, MixerConfig, MlpConfig};
use crate::llama_config::LlamaConfig;
use crate::norm::{NormConfig, NormPlacement};
use crate::rope::RopeParameters;
use crate::values::Activation;

/// What all layers have in common once, and what differs from layer to layer as a list. A family's fields are read into it
/// and written from it.
#[derive(Debug, Clone)]
pub(crate) struct Outline {
    pub hidden_size: usize,
    /// Of every layer with attention, but for its window and its RoPE.
    pub attention: AttentionConfig,
    /// The mixer of the other layers.
    recurrent: Option<MixerConfig>,
    /// Of the layers without experts.
    pub mlp: DenseMlpConfig,
    /// Whether layers have an MLP.
    pub has_mlp: bool,
    /// Of the others.
    pub experts: Option<ExpertsConfig>,
    pub norms: NormPlacement,
    pub residual_multiplier: f64,
    pub norm: NormConfig,
    pub embedding_scale: f64,
    pub embedding_multiplier: f64,
    pub logits_multiplier: f64,
    pub logits_soft_cap: Option<f64>,
    pub ropes: Vec<RopeParameters>,
    /// The window of each layer.
    pub windows: Vec<Option<NonZeroUsize>>,
    /// Which RoPE rotates each layer.
    pub rope_of: Vec<Option<usize>>,
    /// Whether each layer has experts.
    pub sparse: Vec<bool>,
    /// Whether each layer's mixer is the recurrent one.
    pub is_recurrent: Vec<bool>,
}

impl Outline {
    /// A plain Llama of so many layers.
    pub fn new(hidden_size: usize, layers: usize, attention: AttentionConfig, mlp: DenseMlpConfig, eps: f64) -> Self {
        Self {
            hidden_size,
            attention,
            recurrent: None,
            mlp,
            has_mlp: true,
            experts: None,
            norms: NormPlacement::Pre,
            residual_multiplier: 1.0,
            norm: NormConfig::rms(eps),
            embedding_scale: 1.0,
            embedding_multiplier: 1.0,
            logits_multiplier: 1.0,
            logits_soft_cap: None,
            ropes: Vec::new(),
            windows: vec![None; layers],
            rope_of: vec![Some(0); layers],
            sparse: vec![false; layers],
            is_recurrent: vec![false; layers],
        }
    }

    /// What the layers of a config have in common. One without layers is not valid, but is read to say so.
    pub fn of(config: &LlamaConfig) -> Self {
        let layers = || config.layers.iter();
        let attentions = || layers().filter_map(LayerConfig::attention);
        // A hybrid's file has heads even if no layer attends.
        let none = AttentionConfig::new(1, 1, config.hidden_size);
        let attention = attentions().next().map_or(none, |attention| AttentionConfig {
            window: None,
            rope: Some(0),
            dual_chunk: attentions().find_map(|attention| attention.dual_chunk),
            ..*attention
        });
        let dense = layers().find_map(|layer| match layer.mlp? {
            MlpConfig::Dense(mlp) => Some(mlp),
            MlpConfig::Experts(_) => None,
        });
        let experts = layers().find_map(|layer| match layer.mlp? {
            MlpConfig::Dense(_) => None,
            MlpConfig::Experts(experts) => Some(experts),
        });
        let recurrent = layers().find(|layer| layer.attention().is_none()).map(|layer| layer.mixer.clone());
        let hidden_act = match recurrent {
            Some(MixerConfig::Mamba(mamba)) => mamba.hidden_act,
            Some(MixerConfig::Mamba2(mamba)) => mamba.hidden_act,
            Some(MixerConfig::RgLru(lru)) => lru.hidden_act,
            _ => Activation::Silu,
        };
        let none = DenseMlpConfig { intermediate_size: 0, hidden_act, gate: Gate::Product, bias: false };
        Self {
            hidden_size: config.hidden_size,
            attention,
            recurrent,
            has_mlp: layers().any(|layer| layer.mlp.is_some()),
            mlp: dense.or(experts.map(|experts| experts.expert)).unwrap_or(none),
            experts,
            norms: layers().next().map_or(NormPlacement::Pre, |layer| layer.norms),
            residual_multiplier: layers().next().map_or(1.0, |layer| layer.residual_multiplier),
            norm: config.norm,
            embedding_scale: config.embedding_scale,
            embedding_multiplier: config.embedding_multiplier,
            logits_multiplier: config.logits_multiplier,
            logits_soft_cap: config.logits_soft_cap,
            ropes: config.ropes.clone(),
            windows: layers().map(|layer| layer.attention()?.window).collect(),
            rope_of: layers().map(|layer| layer.attention()?.rope).collect(),
            sparse: layers().map(|layer| matches!(layer.mlp, Some(MlpConfig::Experts(_)))).collect(),
            is_recurrent: layers().map(|layer| layer.attention().is_none()).collect(),
        }
    }

    /// The layers one by one.
    pub fn layers(&self) -> Vec<LayerConfig> {
        let layer = |i: usize| LayerConfig {
            mixer: match &self.recurrent {
                Some(mixer) if self.is_recurrent[i] => mixer.clone(),
                _ => MixerConfig::Attention(AttentionConfig {
                    window: self.windows[i],
                    rope: self.rope_of[i],
                    dual_chunk: self.attention.dual_chunk.filter(|_| self.rope_of[i].is_some()),
                    ..self.attention
                }),
            },
            mlp: self.has_mlp.then(|| match self.experts {
                Some(experts) if self.sparse[i] => MlpConfig::Experts(experts),
                _ => MlpConfig::Dense(self.mlp),
            }),
            norms: self.norms,
            residual_multiplier: self.residual_multiplier,
        };
        (0..self.windows.len()).map(layer).collect()
    }

    /// Gives the layers for whose number `is` holds this mixer in place of attention.
    pub fn recurrent(&mut self, mixer: MixerConfig, is: impl Fn(usize) -> bool) {
        self.recurrent = Some(mixer);
        self.is_recurrent = (0..self.is_recurrent.len()).map(is).collect();
    }

    /// The mixer of the layers without attention.
    pub fn recurrent_mixer(&self) -> Option<&MixerConfig> {
        self.recurrent.as_ref()
    }

    /// The window of the layers that have one.
    pub fn window(&self) -> Option<NonZeroUsize> {
        self.windows.iter().flatten().next().copied()
    }
}
