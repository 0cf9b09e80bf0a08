//! Which matrices of a model are held in few bits when it is quantized. The only owner of that rule.

use std::num::NonZeroUsize;

use glass_backend::quant::{GROUP_SIZE, QuantFormat};
use glass_config::{LlamaConfig, QuantizationConfig, QuantizationGroup};

/// A rule for all matrices of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Of the projections in the layers.
    bits: QuantFormat,
    /// Whether the head is the embedding.
    tied: bool,
}

impl Scheme {
    pub fn new(bits: QuantFormat, config: &LlamaConfig) -> Self {
        Self {
            bits,
            tied: config.tie_word_embeddings,
        }
    }

    pub fn is_tied(self) -> bool {
        self.tied
    }

    /// In how many bits matrix `name` is held; `None`: it stays in floating point.
    ///
    /// Projections have what was asked for. The head has 8 always: an error there is an error of a logit, where one in a layer
    /// is averaged over many. The embedding stays as it is, since a token reads one row of it, unless it is the head. Norms and
    /// biases stay: they are small.
    pub fn bits_of(self, name: &str) -> Option<QuantFormat> {
        let head = match self.tied {
            true => "embed_tokens.weight",
            false => "lm_head.weight",
        };
        if name.ends_with("_proj.weight") {
            Some(self.bits)
        } else {
            name.ends_with(head).then_some(QuantFormat::Int8)
        }
    }

    /// The same in the words of compressed-tensors.
    pub fn config(self) -> QuantizationConfig {
        let group = |bits: QuantFormat, targets: &[&str]| QuantizationGroup {
            targets: targets.iter().map(|target| (*target).to_owned()).collect(),
            num_bits: bits.bits(),
            group_size: NonZeroUsize::new(GROUP_SIZE),
        };
        let head = match self.tied {
            true => "re:.*embed_tokens$",
            false => "re:.*lm_head$",
        };
        QuantizationConfig {
            groups: match self.bits {
                QuantFormat::Int8 => vec![group(QuantFormat::Int8, &["re:.*_proj$", head])],
                QuantFormat::Int4 => vec![
                    group(QuantFormat::Int4, &["re:.*_proj$"]),
                    group(QuantFormat::Int8, &[head]),
                ],
            },
            ignore: Vec::new(),
        }
    }
}
