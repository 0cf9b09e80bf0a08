//! The config itself: what every other crate builds from.

use std::path::Path;

use crate::parse::{parse_object, read_text};
use crate::{
    Activation, Bias, ConfigError, Dtype, LayerType, ModelType, Override, QuantizationConfig,
    RopeParameters, RopeType, read,
};

/// A model of the Llama architecture, complete: defaults are filled in and families resolved.
///
/// Fields carry Hugging Face's names. A config from [`from_file`](Self::from_file) or
/// [`from_json`](Self::from_json) has passed [`validate`](Self::validate); one that was built or
/// changed by hand should be put through it.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    pub model_type: ModelType,
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; each serves [`groups`](Self::groups) query heads.
    pub num_key_value_heads: usize,
    /// Width of one head, even; not always hidden_size / num_attention_heads.
    pub head_dim: usize,
    pub hidden_act: Activation,
    /// Added under the root of every RMSNorm.
    pub rms_norm_eps: f64,
    /// Positions that the model was made for; nothing stops a longer text but its quality.
    pub max_position_embeddings: usize,
    pub rope_parameters: RopeParameters,
    pub bias: Bias,
    /// Whether the head is the embedding's own matrix; such checkpoints hold no `lm_head.weight`.
    pub tie_word_embeddings: bool,
    /// One entry per layer.
    pub layer_types: Vec<LayerType>,
    /// Token ids are not checked against `vocab_size`, as in transformers: an id that the model
    /// cannot emit is harmless.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text; empty: none does.
    pub eos_token_id: Vec<u32>,
    pub pad_token_id: Option<u32>,
    /// What the checkpoint says its weights are; the tensors themselves have the last word.
    pub dtype: Option<Dtype>,
    /// How the checkpoint stores its matrices, if in a few bits.
    pub quantization_config: Option<QuantizationConfig>,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Probability, while training, of dropping an attention weight.
    pub attention_dropout: f64,
    /// Every field of the file that has no use here and is not known to be harmless, in the file's
    /// order.
    pub ignored: Vec<IgnoredField>,
}

/// A field of the file that the model does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredField {
    /// As in the file, dotted where nested: `rope_scaling.factor`.
    pub name: String,
    /// Its value as JSON.
    pub value: String,
    /// Why it has no use, as half a sentence.
    pub why: String,
}

impl LlamaConfig {
    /// Reads a `config.json` in either dialect and lays `overrides` over it, in order.
    ///
    /// # Errors
    /// One line that names the file and what is wrong: the file itself, a field, or an override.
    pub fn from_file(path: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        Self::from_json(&text, &path.display().to_string(), overrides)
    }

    /// The same from the text of a file; `origin` names it in errors.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file).
    pub fn from_json(
        text: &str,
        origin: &str,
        overrides: &[Override],
    ) -> Result<Self, ConfigError> {
        read::read(parse_object(text, origin)?, origin, overrides)
    }

    /// Longest text that the model is meant for, in tokens. `dynamic` stretches its rotation as a text
    /// grows, up to `factor` times the trained length; the other types say their full length themselves.
    pub fn context(&self) -> usize {
        match self.rope_parameters.rope_type {
            RopeType::Dynamic { factor } => (self.max_position_embeddings as f64 * factor) as usize,
            _ => self.max_position_embeddings,
        }
    }

    /// Width of all queries together: num_attention_heads · head_dim.
    pub fn q_size(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all keys, and of all values: num_key_value_heads · head_dim.
    pub fn kv_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Query heads per key/value head.
    pub fn groups(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Numbers in the checkpoint, a tied head counted once. Saturates for a config that
    /// [`validate`](Self::validate) would refuse.
    pub fn num_parameters(&self) -> usize {
        self.checked_parameters().unwrap_or(usize::MAX)
    }

    /// The same by part of the model, in the order of a forward pass; `None` if a number overflows.
    pub fn parameters_by_part(&self) -> Option<[(&'static str, usize); 5]> {
        let hidden = self.hidden_size;
        let q_size = self.num_attention_heads.checked_mul(self.head_dim)?;
        let kv_size = self.num_key_value_heads.checked_mul(self.head_dim)?;
        let linear = |rows: usize, columns: usize, bias: bool| {
            let weight = rows.checked_mul(columns)?;
            weight.checked_add(if bias { rows } else { 0 })
        };
        let sum = |parts: &[usize]| parts.iter().try_fold(0usize, |all, n| all.checked_add(*n));
        let layers = self.num_hidden_layers;
        let attention = sum(&[
            linear(q_size, hidden, self.bias.q_k_v)?,
            linear(kv_size, hidden, self.bias.q_k_v)?.checked_mul(2)?,
            linear(hidden, q_size, self.bias.o)?,
        ])?;
        let mlp = sum(&[
            linear(self.intermediate_size, hidden, self.bias.mlp)?.checked_mul(2)?,
            linear(hidden, self.intermediate_size, self.bias.mlp)?,
        ])?;
        let vocabulary = linear(self.vocab_size, hidden, false)?;
        Some([
            ("embedding", vocabulary),
            ("attention", attention.checked_mul(layers)?),
            ("mlp", mlp.checked_mul(layers)?),
            (
                "norms",
                hidden.checked_mul(layers.checked_mul(2)?.checked_add(1)?)?,
            ),
            (
                "head",
                if self.tie_word_embeddings {
                    0
                } else {
                    vocabulary
                },
            ),
        ])
    }

    pub(crate) fn checked_parameters(&self) -> Option<usize> {
        let parts = self.parameters_by_part()?;
        parts
            .iter()
            .try_fold(0usize, |all, (_, n)| all.checked_add(*n))
    }
}
