//! Groups of options that several commands share.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use glass_backend::{Dtype, KernelMode, quant::QuantFormat};
use glass_config::Override;
use glass_kv_cache::CacheConfig;

use super::Sampling;

/// Which model.
#[derive(Debug, Args)]
pub struct Source {
    /// A folder with config.json and safetensors, or a hub name (org/name)
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Branch, tag or commit of a hub model
    #[arg(long)]
    pub revision: Option<String>,
}

/// Which model, and what to change in its config.
#[derive(Debug, Args)]
pub struct Model {
    #[command(flatten)]
    pub source: Source,
    /// Override a field of config.json, for instance sliding_window=64 or rope_parameters.rope_type=linear (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
}

/// What to compute with.
#[derive(Debug, Args)]
pub struct Compute {
    /// auto, flex, ndarray, wgpu, wgpu:N (see `glass devices`)
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Float type of weights and activations: f32, f16 or bf16, where the device supports it
    #[arg(long, default_value = "f32")]
    pub dtype: Dtype,
    /// Quantize the projections to 8 or 4 bits on load, and the head to 8 (`glass quantize` saves such a model)
    #[arg(long, value_name = "8|4", value_parser = parse_bits)]
    pub quantize: Option<QuantFormat>,
    /// fused: this program's own kernels where the device has them; plain: tensor operations, written like their papers
    #[arg(long, value_name = "fused|plain", default_value = "fused")]
    pub kernels: KernelMode,
}

/// The text to continue. Without any of these it is read from standard input.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Prompt {
    /// The text
    #[arg(short = 'p', long = "prompt", value_name = "TEXT")]
    pub text: Option<String>,
    /// Token ids, separated by commas; needs no tokenizer
    #[arg(long, value_name = "1,2,3", value_parser = parse_ids)]
    pub ids: Option<Ids>,
    /// A file with the text; one newline at its end is dropped
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
}

/// When a text ends.
#[derive(Debug, Args)]
pub struct Length {
    /// Maximum number of new tokens [default: the model's generation_config.json, else 256]
    #[arg(long, short = 'n', value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// Continue after an end-of-sequence token
    #[arg(long)]
    pub ignore_eos: bool,
}

/// The KV cache, and how it is filled.
#[derive(Debug, Args)]
#[group(id = "Cache", multiple = true)]
pub struct Cache {
    /// KV cache policy: full (keeps everything), ring (a sliding layer's window), ring:W (the last W tokens), sinks:S+W
    /// (the first S and the last W), tova:N (the N most attended to); per layer type full=POLICY,sliding=POLICY
    /// [default: full layers full, sliding layers ring]
    #[arg(long = "cache", value_name = "POLICY")]
    pub policy: Option<CacheConfig>,
    /// Prompt tokens per forward pass; the result does not depend on it [default: 512]
    #[arg(long, value_name = "N")]
    pub prefill_chunk: Option<NonZeroUsize>,
}

/// How a text is generated, token by token.
#[derive(Debug, Args)]
pub struct Decoding {
    #[command(flatten)]
    pub length: Length,
    #[command(flatten)]
    pub cache: Cache,
    #[command(flatten)]
    pub sampling: Sampling,
    /// End the text before this string (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Report the natural log-probability of every new token, and of the N most probable tokens at its position, under
    /// the model's own distribution
    #[arg(long, value_name = "N")]
    pub logprobs: Option<usize>,
}

/// A list of ids; a type of its own, because clap reads a `Vec` as a repeatable option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(pub Vec<u32>);

pub fn parse_ids(text: &str) -> Result<Ids, String> {
    text.split(',')
        .map(|id| {
            let id = id.trim();
            id.parse().map_err(|_| format!("{id:?} is not a token id (a whole number from 0 on)"))
        })
        .collect::<Result<_, _>>()
        .map(Ids)
}

pub fn parse_bits(text: &str) -> Result<QuantFormat, String> {
    match text {
        "8" => Ok(QuantFormat::Int8),
        "4" => Ok(QuantFormat::Int4),
        _ => Err("give 8 or 4".to_owned()),
    }
}
