//! Which matrices of a model are quantized, and how. The only owner of that rule.

use std::{collections::BTreeSet, num::NonZeroUsize};

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

    /// The same in the words of compressed-tensors, which names modules: every projection's ends with `_proj`, but for those
    /// of some families. `names` are those of all quantized matrices.
    pub fn config<'n>(self, names: impl Iterator<Item = &'n str>) -> QuantizationConfig {
        let head = if self.tied { "embed_tokens" } else { "lm_head" };
        let modules = names.filter_map(|name| name.strip_suffix(".weight")?.rsplit('.').next());
        let is_other =
            |module: &&str| !module.ends_with("_proj") && !["lm_head", "embed_tokens", "wte"].contains(module);
        let others: BTreeSet<_> = modules.filter(is_other).collect();
        let others = others.into_iter().map(|module| format!(r"re:.*\.{module}$"));
        let projections: Vec<String> = std::iter::once("re:.*_proj$".to_owned()).chain(others).collect();
        let head = format!("re:.*{head}$");
        let group = |format: QuantFormat, targets: Vec<String>| QuantizationGroup {
            targets,
            num_bits: format.bits(),
            group_size: NonZeroUsize::new(GROUP_SIZE),
        };
        QuantizationConfig {
            groups: match self.projections {
                QuantFormat::Int8 => vec![group(QuantFormat::Int8, [projections, vec![head]].concat())],
                format => vec![group(format, projections), group(QuantFormat::Int8, vec![head])],
            },
            ignore: Vec::new(),
        }
    }
}
