//! The config itself: what every other crate builds from.

use crate::families::ModelType;
use crate::fields::IgnoredField;
use crate::layer::{LayerConfig, MlpConfig, sum};
use crate::norm::NormConfig;
use crate::quantization::QuantizationConfig;
use crate::rope::{RopeParameters, RopeScaling};
use crate::values::Dtype;

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
    /// From the embedding to the head.
    pub layers: Vec<LayerConfig>,
    /// The rotations that layers choose from ([`AttentionConfig::rope`](crate::AttentionConfig::rope)).
    pub ropes: Vec<RopeParameters>,
    /// Every norm of the layers' blocks, and the last one, before the head.
    pub norm: NormConfig,
    /// Multiplies every row of the embedding, rounded to the type of the weights first (Gemma).
    pub embedding_scale: f64,
    /// Multiplies what the embedding gives (Granite).
    pub embedding_multiplier: f64,
    /// Multiplies the logits.
    pub logits_multiplier: f64,
    /// Logits x become cap · tanh(x / cap).
    pub logits_soft_cap: Option<f64>,
    /// Positions that the model was made for; nothing stops a longer text but its quality.
    pub max_position_embeddings: usize,
    /// Whether the head is the embedding's own matrix; such checkpoints hold no `lm_head.weight`.
    pub tie_word_embeddings: bool,
    /// Token ids are not checked against `vocab_size`, as in transformers: an id that the model
    /// cannot emit is harmless.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text; empty: none does.
    pub eos_token_id: Vec<u32>,
    pub pad_token_id: Option<u32>,
    /// What the checkpoint says its weights are, if that is a type that is computed in; the tensors themselves have the
    /// last word.
    pub dtype: Option<Dtype>,
    /// How the checkpoint stores its matrices, if quantized.
    pub quantization_config: Option<QuantizationConfig>,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Probability, while training, of dropping an attention weight.
    pub attention_dropout: f64,
    /// Every field of the file that has no use here and is not known to be harmless, in the file's
    /// order: the user is warned of them.
    pub ignored: Vec<IgnoredField>,
}

impl LlamaConfig {
    /// Longest text that the model is meant for, in tokens. `dynamic` stretches its rotation as a text
    /// grows, up to `factor` times the trained length; the other types say their full length themselves.
    pub fn context(&self) -> usize {
        let dynamic = self.ropes.iter().find_map(|rope| match &rope.scaling {
            RopeScaling::Dynamic(scaling) => Some(scaling.factor),
            _ => None,
        });
        let trained = self.max_position_embeddings;
        dynamic.map_or(trained, |factor| (trained as f64 * factor) as usize)
    }

    /// The first RoPE that rotates a pass over `length` positions by other angles than shorter passes.
    pub fn rope_by_length(&self, length: usize) -> Option<&RopeParameters> {
        let mut ropes = self.ropes.iter();
        ropes.find(|rope| rope.depends_on_length(length))
    }

    /// Whether a text of which `read` tokens are in a cache is read again from its beginning as it grows to `length`, because the
    /// angles change between: Phi-3's keys are all of one set, and other families' keep theirs.
    pub fn rereads(&self, read: usize, length: usize) -> bool {
        let changes = |rope: &RopeParameters| rope.depends_on_length(length) && !rope.depends_on_length(read);
        read > 0 && self.model_type.family().rereads && self.ropes.iter().any(changes)
    }

    /// Values per token in the widest activation of a pass, the logits aside.
    pub fn max_width(&self) -> usize {
        let widths = self.layers.iter().map(|layer| {
            let mlp = layer.mlp.as_ref().map_or(0, |mlp| mlp.width(self.hidden_size));
            layer.mixer.width().max(mlp)
        });
        widths.fold(self.hidden_size, usize::max)
    }

    /// Numbers in the checkpoint, a tied head counted once. `usize::MAX` for a config that [`validate`](Self::validate)
    /// refuses because there would be more.
    pub fn num_parameters(&self) -> usize {
        sum(self.parameters_by_part().into_iter().map(|(_, count)| count))
    }

    /// Of these, the numbers that one token is multiplied with: of the experts, only the chosen ones.
    pub fn active_parameters(&self) -> usize {
        let hidden = self.hidden_size;
        let idle = |mlp: &MlpConfig| mlp.num_parameters(hidden) - mlp.active_parameters(hidden);
        self.num_parameters().saturating_sub(sum(self.layers.iter().filter_map(|layer| layer.mlp.as_ref()).map(idle)))
    }

    /// The same by part of the model, in the order of a forward pass.
    pub fn parameters_by_part(&self) -> Vec<(&'static str, usize)> {
        let hidden = self.hidden_size;
        let layers = || self.layers.iter();
        let norm = self.norm.num_parameters(hidden);
        let norms = layers().map(|layer| layer.norm_parameters(norm));
        let vocabulary = self.vocab_size.saturating_mul(hidden);
        let head = if self.tie_word_embeddings { 0 } else { vocabulary };
        let mixers = |attention: bool| {
            let mixers = layers().filter(|layer| layer.attention().is_some() == attention);
            sum(mixers.map(|layer| layer.mixer.num_parameters(hidden)))
        };
        let mlps = layers().filter_map(|layer| layer.mlp.as_ref());
        let mut parts = vec![
            ("embedding", vocabulary),
            ("attention", mixers(true)),
            ("recurrence", mixers(false)),
            ("mlp", sum(mlps.map(|mlp| mlp.num_parameters(hidden)))),
            ("norms", sum(norms.chain([norm]))),
            ("head", head),
        ];
        // What a family does not have needs no line; a tied head has one, to say so.
        parts.retain(|(part, count)| *count > 0 || *part == "head");
        parts
    }
}
