//! The families: what each model type takes for granted without the file saying so.
//!
//! A family is one file: its defaults, and a function from JSON to layers. No layer asks for the family.

mod llama;
mod mistral;
mod qwen2;

use std::num::NonZeroUsize;

use serde_json::Value;

use crate::error::{Checked, FieldError};
use crate::fields::{Fields, Row};
use crate::layer::{AttentionConfig, DenseMlpConfig, Gate, LayerConfig, MixerConfig, MlpConfig};
use crate::norm::NormPlacement;
use crate::values::{Activation, Rule, SWITCH, WINDOW, words};

/// Hugging Face's `model_type`: whose rules fill in what the file leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelType {
    Llama,
    Mistral,
    Qwen2,
}

words! {
    ModelType, "must be one of llama, mistral, qwen2",
    Llama = "llama", Mistral = "mistral", Qwen2 = "qwen2"
}

impl ModelType {
    pub(crate) fn family(self) -> &'static Family {
        match self {
            Self::Llama => &llama::FAMILY,
            Self::Mistral => &mistral::FAMILY,
            Self::Qwen2 => &qwen2::FAMILY,
        }
    }
}

/// What the classes of one family in transformers hard-wire (`configuration_{family}.py`).
pub(crate) struct Family {
    /// The class that transformers loads such a checkpoint into.
    pub architecture: &'static str,
    /// Values of absent fields. No key/value heads: as many as query heads.
    pub num_key_value_heads: Option<usize>,
    pub max_position_embeddings: usize,
    pub bos_token_id: &'static [u32],
    pub eos_token_id: &'static [u32],
    /// The family's rule: its fields, and what a plain Llama's layers would be, give its layers.
    pub layers: fn(&mut Fields, Plain) -> Checked<Vec<LayerConfig>>,
    /// The other way: the fields that say these layers.
    pub fields: fn(&[LayerConfig], &Plain) -> Value,
    /// Fields of other families without effect in this one, and their values that need no warning.
    pub ignored: &'static [Row<'static, Plain>],
}

/// What all layers have in common, and how many there are.
pub(crate) struct Plain {
    pub layers: usize,
    pub attention: AttentionConfig,
    pub mlp: DenseMlpConfig,
}

impl Plain {
    /// What these layers have in common. A config without layers is not valid, but is read to say so.
    pub fn of(layers: &[LayerConfig]) -> Self {
        let attention = layers.iter().find_map(LayerConfig::attention).copied();
        let mut mlps = layers.iter().filter_map(|layer| match layer.mlp {
            MlpConfig::Dense(mlp) => Some(mlp),
            MlpConfig::Experts(_) => None,
        });
        Self {
            layers: layers.len(),
            attention: attention.unwrap_or(AttentionConfig::new(0, 0, 0)),
            mlp: mlps.next().unwrap_or(DenseMlpConfig {
                intermediate_size: 0,
                hidden_act: Activation::Silu,
                gate: Gate::Product,
                bias: false,
            }),
        }
    }

    /// One layer for each window.
    fn with_windows(self, windows: impl Iterator<Item = Option<NonZeroUsize>>) -> Vec<LayerConfig> {
        let Self { attention, mlp, .. } = self;
        let layer = |window| LayerConfig {
            mixer: MixerConfig::Attention(AttentionConfig { window, ..attention }),
            mlp: MlpConfig::Dense(mlp),
            norms: NormPlacement::Pre,
            residual_multiplier: 1.0,
        };
        windows.map(layer).collect()
    }

    /// All layers with one window. A `layer_types` that says otherwise breaks `rule`.
    fn with_one_window(
        self,
        fields: &mut Fields,
        window: Option<NonZeroUsize>,
        rule: &str,
    ) -> Checked<Vec<LayerConfig>> {
        let kinds = layer_types(fields, self.layers)?.unwrap_or_default();
        if let Some(i) = kinds.iter().position(|&slides| slides != window.is_some()) {
            let field = format!("layer_types[{i}]");
            return Err(FieldError::invalid(&field, layer_type(kinds[i]), rule));
        }
        let windows = std::iter::repeat_n(window, self.layers);
        Ok(self.with_windows(windows))
    }
}

/// Whether a layer slides. "attention" is what transformers wrote before the names were settled.
const LAYER_TYPE: Rule<bool> = Rule("must be full_attention or sliding_attention", |value| {
    let is_full = matches!(value.as_str()?, "full_attention" | "attention");
    (is_full || value == "sliding_attention").then_some(!is_full)
});

fn layer_type(slides: bool) -> &'static str {
    if slides { "sliding_attention" } else { "full_attention" }
}

/// Whether each layer slides, where `layer_types` says so.
fn layer_types(fields: &mut Fields, layers: usize) -> Checked<Option<Vec<bool>>> {
    let kinds = fields.list("layer_types", LAYER_TYPE)?;
    if let Some(kinds) = &kinds {
        let entries = format!("{} entries", kinds.len());
        let rule = format!("must have one entry per layer, num_hidden_layers = {layers}");
        fields.check(kinds.len() == layers, "layer_types", entries, rule)?;
    }
    Ok(kinds)
}

/// `sliding_window`, 4096 where absent and none where null.
fn sliding_window(fields: &mut Fields) -> Checked<Option<NonZeroUsize>> {
    fields.optional("sliding_window", WINDOW, NonZeroUsize::new(4096))
}

/// A switch that the family's class has in one position only: a file that says otherwise is of another model.
fn fixed(fields: &mut Fields, name: &'static str, position: bool, why: &str) -> Checked<()> {
    match fields.optional(name, SWITCH, None)? {
        Some(other) if other != position => {
            let fix = "set it to null to follow the family, or correct model_type";
            let why = format!("{why}; {fix}");
            Err(FieldError::unsupported(name, other, why))
        }
        _ => Ok(()),
    }
}
