//! Which matrices of a model are quantized, and how. The only owner of that rule.

use std::{collections::BTreeMap, num::NonZeroUsize};

use glass_backend::{
    WeightRole,
    quant::{GROUP_SIZE, QuantFormat},
};
use glass_config::{LlamaConfig, QuantizationConfig, QuantizationGroup};

/// A largest number of so many times the root mean square makes a matrix one that 4 bits would spoil.
const OUTLIER: f32 = 25.0;

/// A rule for all weights of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantRecipe {
    /// Of most projections in the layers.
    projections: QuantFormat,
    /// Whether the head is the embedding.
    tied: bool,
    /// Whether heads of keys serve several heads of queries each.
    grouped: bool,
    /// Whether the family's files hold queries, keys and values in one tensor, which then has one format.
    fused: bool,
    layers: usize,
}

impl QuantRecipe {
    /// Projections in `format`; in 4 bits those that lose most by it, and the head, in 8.
    pub fn new(format: QuantFormat, config: &LlamaConfig) -> Self {
        let mut attentions = config.layers.iter().filter_map(|layer| layer.attention());
        Self {
            projections: format,
            tied: config.tie_word_embeddings,
            grouped: attentions.all(|attention| attention.num_key_value_heads < attention.num_attention_heads),
            fused: starts_within(config),
            layers: config.layers.len(),
        }
    }

    /// Whether the head is the embedding.
    pub fn is_tied(self) -> bool {
        self.tied
    }

    /// Whether weights with this role are quantized.
    pub fn quantizes(self, role: WeightRole) -> bool {
        match role {
            WeightRole::Router
            | WeightRole::Norm
            | WeightRole::NormOffset
            | WeightRole::Bias
            | WeightRole::Activation(_)
            | WeightRole::Sinks
            | WeightRole::Recurrent(_) => false,
            // A token reads one row of it, unless it is the head.
            WeightRole::Embedding => self.tied,
            WeightRole::Projection
            | WeightRole::Keys
            | WeightRole::Values
            | WeightRole::ResidualProjection
            | WeightRole::MlpOutput
            | WeightRole::Head => true,
        }
    }

    /// The format of a matrix with this role, in this layer; `None`: it stays in floating point. `outlier` is asked for
    /// the matrix's [`outlier()`] where that decides.
    ///
    /// In 4 bits these have 8:
    /// - the head: an error there is an error of a logit, where one in a layer is averaged over many;
    /// - values, and keys where they serve several heads: few numbers, of which every head of a group reads all (if they lie
    ///   in tensors of their own);
    /// - all of the first and of the last layer of 24, and what one more layer at the beginning writes to the residual stream:
    ///   all others read it, and nothing evens out the errors of the last;
    /// - an MLP's output with a number far beyond the others: such a number makes the few huge activations that a Llama
    ///   lives on (Yu et al. 2024, The Super Weight in Large Language Models, arXiv:2411.07191).
    ///
    /// # Errors
    /// Those of `outlier`.
    pub fn format_of<E>(
        self,
        role: WeightRole,
        layer: Option<usize>,
        outlier: impl FnOnce() -> Result<f32, E>,
    ) -> Result<Option<QuantFormat>, E> {
        if !self.quantizes(role) {
            return Ok(None);
        }
        let writes = matches!(role, WeightRole::ResidualProjection | WeightRole::MlpOutput);
        let ends = self.layers / 24;
        let at_ends = layer.is_some_and(|layer| layer < ends || layer + ends >= self.layers);
        let early = layer.is_some_and(|layer| layer < self.layers / 12);
        let sensitive = match role {
            WeightRole::Head | WeightRole::Embedding => true,
            WeightRole::Values if !self.fused => true,
            WeightRole::Keys if !self.fused && self.grouped => true,
            _ if at_ends || early && writes => true,
            WeightRole::MlpOutput if self.projections == QuantFormat::Int4 => outlier()? >= OUTLIER,
            _ => false,
        };
        Ok(Some(if sensitive { QuantFormat::Int8 } else { self.projections }))
    }
}

/// Whether values lie behind other rows of their tensor in the family's files.
fn starts_within(config: &LlamaConfig) -> bool {
    let attention = config.layers.iter().enumerate().find_map(|(i, layer)| Some((i, layer.attention()?)));
    attention.is_some_and(|(layer, attention)| {
        let name = format!("model.layers.{layer}.self_attn.v_proj.weight");
        let ways = config.stored(&name, &[attention.kv_size(), config.hidden_size]);
        ways.first().is_some_and(|pieces| pieces.iter().any(|piece| piece.start > 0))
    })
}

/// The largest magnitude of a matrix, in units of its root mean square.
pub fn outlier(values: &[f32]) -> f32 {
    let (mut largest, mut squares) = (0.0_f32, 0.0_f64);
    for part in values.chunks(1 << 10) {
        largest = part.iter().fold(largest, |max, value| max.max(value.abs()));
        squares += f64::from(part.iter().map(|value| value * value).sum::<f32>());
    }
    let mean = (squares / values.len().max(1) as f64).sqrt() as f32;
    if mean > 0.0 { largest / mean } else { 0.0 }
}

/// The formats of a model's matrices in the words of compressed-tensors, which names modules: by a pattern for all layers
/// where they have one format, and each by its name where they do not.
pub(crate) fn config_of(matrices: impl Iterator<Item = (String, QuantFormat)>) -> QuantizationConfig {
    let mut alike: BTreeMap<String, Vec<(String, QuantFormat)>> = BTreeMap::new();
    for (name, format) in matrices {
        let module = name.strip_suffix(".weight").unwrap_or(&name).to_owned();
        alike.entry(pattern(&module)).or_default().push((module, format));
    }
    let group = |format: QuantFormat| {
        let mut targets = Vec::new();
        for (pattern, modules) in &alike {
            let of_format = || modules.iter().filter(|(_, of)| *of == format).map(|(module, _)| module.clone());
            if of_format().count() == modules.len() {
                targets.push(format!("re:.*{pattern}$"));
            } else {
                targets.extend(of_format());
            }
        }
        (!targets.is_empty()).then(|| QuantizationGroup {
            targets,
            num_bits: format.bits(),
            group_size: NonZeroUsize::new(GROUP_SIZE),
            symmetric: format == QuantFormat::Int8,
        })
    };
    QuantizationConfig {
        groups: [QuantFormat::Int4, QuantFormat::Int8].into_iter().filter_map(group).collect(),
        ignore: Vec::new(),
    }
}

/// What modules at one place of any layer have in common, as a regular expression.
fn pattern(module: &str) -> String {
    let from_layer = module.find("layers.").map_or(module, |at| &module[at..]);
    let steps = from_layer.split('.').map(|step| {
        let number = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        if number { r"\d+" } else { step }
    });
    steps.collect::<Vec<_>>().join(r"\.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_is_measured_against_the_root_mean_square() {
        assert_eq!(outlier(&[]), 0.0);
        assert_eq!(outlier(&[0.0; 9]), 0.0);
        assert_eq!(outlier(&[-3.0; 5000]), 1.0);
        let mut values = vec![1.0; 1 << 14];
        values[7000] = -100.0;
        let mean = (((1 << 14) - 1 + 10_000) as f32 / (1 << 14) as f32).sqrt();
        assert!((outlier(&values) - 100.0 / mean).abs() < 1e-3);
    }

    #[test]
    fn formats_become_targets() {
        let (four, eight) = (QuantFormat::Int4, QuantFormat::Int8);
        let matrices = [
            ("model.embed_tokens.weight", eight),
            ("model.layers.0.mlp.down_proj.weight", eight),
            ("model.layers.0.mlp.experts.3.up_proj.weight", four),
            ("model.layers.0.self_attn.v_proj.weight", eight),
            ("model.layers.1.mlp.down_proj.weight", four),
            ("model.layers.1.mlp.experts.0.up_proj.weight", four),
            ("model.layers.1.self_attn.v_proj.weight", eight),
        ];
        let config = config_of(matrices.into_iter().map(|(name, format)| (name.to_owned(), format)));
        let [fours, eights] = config.groups.as_slice() else { panic!("two groups: {config:?}") };
        assert_eq!((fours.num_bits, fours.symmetric, eights.num_bits, eights.symmetric), (4, false, 8, true));
        assert_eq!(fours.targets, ["model.layers.1.mlp.down_proj", r"re:.*layers\.\d+\.mlp\.experts\.\d+\.up_proj$"]);
        let expected =
            ["model.layers.0.mlp.down_proj", r"re:.*layers\.\d+\.self_attn\.v_proj$", r"re:.*model\.embed_tokens$"];
        assert_eq!(eights.targets, expected);
    }
}
