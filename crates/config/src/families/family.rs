//! What a family is made of, and what several of them read alike.

use std::num::NonZeroUsize;

use serde_json::Value;

use crate::error::FieldError;
use crate::fields::{Fields, Row};
use crate::layer::{
    AttentionConfig, DenseMlpConfig, LayerConfig, MixerConfig, MlpConfig, NormPlacement,
};
use crate::values::{Window, words};

/// What the classes of one family in transformers hard-wire (`configuration_{family}.py`).
pub(crate) struct Family {
    /// The class that transformers loads such a checkpoint into.
    pub architecture: &'static str,
    /// Values of absent fields. No key/value heads: as many as query heads.
    pub num_key_value_heads: Option<usize>,
    pub max_position_embeddings: usize,
    pub bos_token_id: Option<u32>,
    pub eos_token_id: &'static [u32],
    /// The family's rule: its fields, and what a plain Llama's layers would be, give its layers.
    pub layers: fn(&mut Fields, Plain) -> Result<Vec<LayerConfig>, FieldError>,
    /// The other way: an object of the fields in which the family's rule is written down.
    pub fields: fn(&Plain, &[LayerConfig]) -> Value,
    /// Fields of other families that have no effect in this one, and the values at which nobody needs to know.
    pub ignored: &'static [Row<'static, Plain>],
}

/// The layers of a plain Llama, with the sizes that a file gives.
pub(crate) struct Plain {
    pub layers: usize,
    pub attention: AttentionConfig,
    pub mlp: DenseMlpConfig,
}

impl Plain {
    /// What `layers` have in common.
    pub fn of(layers: &[LayerConfig]) -> Self {
        let attention = layers.iter().find_map(LayerConfig::attention).copied();
        let mlp = layers.first().map(|layer| {
            let MlpConfig::Dense(mlp) = layer.mlp;
            mlp
        });
        Self {
            layers: layers.len(),
            attention: attention.unwrap_or(AttentionConfig::new(0, 0, 0)),
            mlp: mlp.unwrap_or(DenseMlpConfig::new(0)),
        }
    }

    /// These layers, one for each window.
    pub fn with_windows(
        self,
        windows: impl Iterator<Item = Option<NonZeroUsize>>,
    ) -> Vec<LayerConfig> {
        let Self { attention, mlp, .. } = self;
        let layer = |window| LayerConfig {
            mixer: MixerConfig::Attention(AttentionConfig {
                window,
                ..attention
            }),
            mlp: MlpConfig::Dense(mlp),
            norms: NormPlacement::Pre,
        };
        windows.map(layer).collect()
    }

    /// These layers, all with one window. A `layer_types` that says otherwise breaks `rule`.
    pub fn with_one_window(
        self,
        fields: &mut Fields,
        window: Option<NonZeroUsize>,
        rule: &str,
    ) -> Result<Vec<LayerConfig>, FieldError> {
        let kinds = layer_kinds(fields, self.layers)?.unwrap_or_default();
        let other = |kind: &LayerKind| (*kind == LayerKind::Sliding) != window.is_some();
        if let Some(i) = kinds.iter().position(other) {
            return Err(FieldError::invalid(
                &format!("layer_types[{i}]"),
                kinds[i],
                rule,
            ));
        }
        let windows = std::iter::repeat_n(window, self.layers);
        Ok(self.with_windows(windows))
    }
}

/// An entry of `layer_types`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerKind {
    Full,
    Sliding,
}

// "attention" is what transformers wrote before the names were settled.
words! {
    LayerKind: "must be full_attention or sliding_attention",
    Full = "full_attention" | "attention", Sliding = "sliding_attention"
}

impl LayerKind {
    pub fn of(window: Option<NonZeroUsize>) -> Self {
        window.map_or(Self::Full, |_| Self::Sliding)
    }
}

/// `layer_types` as the file states it, one entry per layer.
pub(crate) fn layer_kinds(
    fields: &mut Fields,
    layers: usize,
) -> Result<Option<Vec<LayerKind>>, FieldError> {
    let kinds: Option<Vec<_>> = fields.get("layer_types", None)?;
    if let Some(kinds) = &kinds {
        let entries = format!("{} entries", kinds.len());
        let rule = format!("must have one entry per layer, num_hidden_layers = {layers}");
        fields.check(kinds.len() == layers, "layer_types", entries, rule)?;
    }
    Ok(kinds)
}

/// `sliding_window`, 4096 where absent and none where null.
pub(crate) fn sliding_window(fields: &mut Fields) -> Result<Option<NonZeroUsize>, FieldError> {
    let absent = NonZeroUsize::new(4096).map(Window);
    let window = fields.get("sliding_window", absent)?;
    Ok(window.map(|Window(window)| window))
}

/// A switch that the family's class has in one position only: a file that says otherwise is of another model.
pub(crate) fn fixed(
    fields: &mut Fields,
    name: &'static str,
    position: bool,
    why: &str,
) -> Result<(), FieldError> {
    let given: bool = fields.get(name, None)?.unwrap_or(position);
    if given == position {
        return Ok(());
    }
    let fix = "set it to null to follow the family, or correct model_type";
    Err(FieldError::unsupported(
        name,
        given,
        format!("{why}; {fix}"),
    ))
}
