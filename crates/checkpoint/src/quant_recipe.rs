//! Which matrices of a model are quantized, and how. The only owner of that rule.

use std::num::NonZeroUsize;

use glass_backend::{
    WeightRole,
    quant::{GROUP_SIZE, QuantFormat},
};
use glass_config::{LlamaConfig, QuantizationConfig, QuantizationGroup};

/// A rule for all weights of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantRecipe {
    /// Of the projections in the layers.
    projections: QuantFormat,
    /// Whether the head is the embedding.
    tied: bool,
}

impl QuantRecipe {
    /// Projections in `format`; the head of a model with this config in 8 bits.
    pub fn new(format: QuantFormat, config: &LlamaConfig) -> Self {
        Self { projections: format, tied: config.tie_word_embeddings }
    }

    /// Whether the head is the embedding.
    pub fn is_tied(self) -> bool {
        self.tied
    }

    /// The format of a weight with this role; `None`: it stays in floating point.
    ///
    /// Projections have the format that was asked for. The head has 8 bits always: an error there is an error of a logit, where
    /// one in a layer is averaged over many. The embedding stays as it is, since a token reads one row of it, unless it is the
    /// head. Vectors stay: they are small.
    pub fn format_of(self, role: WeightRole) -> Option<QuantFormat> {
        match role {
            WeightRole::Projection | WeightRole::ResidualProjection => Some(self.projections),
            WeightRole::Head => Some(QuantFormat::Int8),
            WeightRole::Embedding => self.tied.then_some(QuantFormat::Int8),
            WeightRole::Router
            | WeightRole::Norm
            | WeightRole::NormOffset
            | WeightRole::Bias
            | WeightRole::Activation(_)
            | WeightRole::Sinks => None,
        }
    }

    /// The same in the words of compressed-tensors, which names modules: every projection's ends with `_proj`.
    pub fn config(self) -> QuantizationConfig {
        let group = |format: QuantFormat, targets: &[&str]| QuantizationGroup {
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            num_bits: format.bits(),
            group_size: NonZeroUsize::new(GROUP_SIZE),
        };
        let head = if self.tied { "re:.*embed_tokens$" } else { "re:.*lm_head$" };
        QuantizationConfig {
            groups: match self.projections {
                QuantFormat::Int8 => vec![group(QuantFormat::Int8, &["re:.*_proj$", head])],
                format => vec![group(format, &["re:.*_proj$"]), group(QuantFormat::Int8, &[head])],
            },
            ignore: Vec::new(),
        }
    }
}
