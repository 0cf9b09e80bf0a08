//! Groups of options that several commands share.

use std::{
    fmt::Display,
    num::{IntErrorKind, NonZeroUsize, ParseIntError},
    path::PathBuf,
    str::FromStr,
};

use clap::{Args, ValueHint};
use glass_backend::{Dtype, KernelMode, quant::QuantFormat};
use glass_checkpoint::{Existing, GgufFormat, Precision};
use glass_config::Override;
use glass_kv_cache::{CacheConfig, KvDtype};

use super::Sampling;

/// Headings of the long help that several commands share.
pub const MODEL: &str = "Model";
pub const COMPUTING: &str = "Computing";
pub const OUTPUT: &str = "Output";
pub const TEXT: &str = "Text";

/// Which model.
#[derive(Debug, Args)]
#[command(next_help_heading = MODEL)]
pub struct Source {
    /// A folder with config.json and safetensors, a GGUF file, or a hub name (org/name)
    #[arg(value_name = "MODEL", help_heading = None::<&str>, env = "GLASS_MODEL", hide_env_values = true, value_hint = ValueHint::AnyPath)]
    pub model: String,
    /// Branch, tag or commit of a hub model
    #[arg(long, hide_short_help = true)]
    pub revision: Option<String>,
}

/// Which model, and what to change in its config.
#[derive(Debug, Args)]
pub struct Model {
    #[command(flatten)]
    pub source: Source,
    /// Override a field of config.json (repeatable)
    ///
    /// For instance sliding_window=64 or rope_parameters.rope_type=linear. An override without effect is an error.
    #[arg(help_heading = MODEL, hide_short_help = true, long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
}

/// What may be overwritten.
#[derive(Debug, Args)]
#[command(next_help_heading = OUTPUT)]
pub struct Overwrite {
    /// Overwrite outputs that exist
    ///
    /// Without it, a file that is not empty and a folder that holds something are refused.
    #[arg(long)]
    pub force: bool,
}

impl Overwrite {
    pub fn existing(&self) -> Existing {
        if self.force { Existing::Replace } else { Existing::Refuse }
    }
}

/// Which model, or the one that is built in.
#[derive(Debug, Args)]
#[command(next_help_heading = MODEL)]
pub struct AnyModel {
    /// A folder with config.json and safetensors, a GGUF file, or a hub name (org/name) [default: the model that is built in]
    #[arg(value_name = "MODEL", help_heading = None::<&str>, env = "GLASS_MODEL", hide_env_values = true, value_hint = ValueHint::AnyPath)]
    pub model: Option<String>,
    /// Branch, tag or commit of a hub model
    #[arg(long, hide_short_help = true, requires = "model")]
    pub revision: Option<String>,
    /// Override a field of config.json (repeatable)
    ///
    /// For instance sliding_window=64 or rope_parameters.rope_type=linear. An override without effect is an error.
    #[arg(hide_short_help = true, long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
}

/// What to compute with.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = COMPUTING)]
pub struct Compute {
    /// auto, flex, ndarray, wgpu, wgpu:N (see `glass devices`)
    #[arg(env = "GLASS_DEVICE", hide_env_values = true, long, default_value = "auto")]
    pub device: String,
    /// What weights are held and multiplied in [default: as the model is stored]
    ///
    /// f32, f16 and bf16 are float types, of activations too, where the device supports them. With q8 and q4, matrices are
    /// quantized to 8 or 4 bits and the rest is in f32; `glass quantize` saves such a model.
    #[arg(env = "GLASS_DTYPE", hide_env_values = true, long, value_name = "f32|f16|bf16|q8|q4")]
    pub dtype: Option<Precision>,
    /// Keep the quantized matrices for the next time (with --dtype q8 or q4)
    ///
    /// A copy of the model in the user's cache folder is written, or used if it fits: glass-llama in XDG_CACHE_HOME or ~/.cache.
    #[arg(long, hide_short_help = true)]
    pub keep: bool,
    #[arg(long, hide = true, value_parser = parse_bits)]
    pub quantize: Option<Renamed>,
    /// fused: this program's own kernels; plain: tensor operations
    ///
    /// fused takes the kernels of this program where the device has them. plain computes in tensor operations that are
    /// written like their papers. The results are equal up to rounding.
    #[arg(
        env = "GLASS_KERNELS",
        hide_env_values = true,
        hide_short_help = true,
        long,
        value_name = "fused|plain",
        default_value = "fused"
    )]
    pub kernels: KernelMode,
}

/// The text to continue. Without any of these it is read from standard input.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "Prompt (or standard input)")]
pub struct Prompt {
    /// The text to continue
    #[arg(short = 'p', long = "prompt", value_name = "TEXT")]
    pub text: Option<String>,
    /// The same as token ids, separated by commas; needs no tokenizer
    #[arg(long, value_name = "1,2,3", value_parser = parse_ids)]
    pub ids: Option<Ids>,
    /// The same as a file; one newline at its end is dropped
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
}

/// When a text ends.
#[derive(Debug, Args)]
#[command(next_help_heading = TEXT)]
pub struct Length {
    /// New tokens at most [default: the model's generation_config.json, else 256]
    #[arg(long, short = 'n', value_name = "N", value_parser = from_0::<usize>)]
    pub max_new_tokens: Option<usize>,
    /// Continue after an end-of-sequence token
    #[arg(hide_short_help = true, long)]
    pub ignore_eos: bool,
}

/// The KV cache, and how it is filled.
#[derive(Debug, Args)]
#[group(id = "Cache", multiple = true)]
#[command(next_help_heading = COMPUTING)]
pub struct Cache {
    /// Keys and values that a layer keeps [default: full layers all, sliding layers their window]
    ///
    /// full (all), ring (a sliding layer's window), ring:W (the last W tokens), sinks:S+W (the first S and the last W),
    /// tova:N (the N most attended to); per kind of layer full=POLICY,sliding=POLICY.
    #[arg(hide_short_help = true, long = "cache", value_name = "POLICY")]
    pub policy: Option<CacheConfig>,
    /// What keys and values are kept in: f32, f16, bf16 or q8 [default: the type of the weights; f16 beside quantized ones]
    ///
    /// q8 is 8 bits with a scale for each 32 numbers: little more than half of 16 bits.
    #[arg(hide_short_help = true, long, value_name = "TYPE")]
    pub cache_dtype: Option<KvDtype>,
    /// Prompt tokens per forward pass; the result does not depend on it [default: 512]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = from_1)]
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
    #[arg(help_heading = TEXT, long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Report the log-probability of every new token, and of the N most probable
    ///
    /// Natural logarithms, under the model's own distribution, of the token and of the N most probable tokens at its
    /// position.
    #[arg(help_heading = OUTPUT, hide_short_help = true, long, value_name = "N", value_parser = from_0::<usize>)]
    pub logprobs: Option<usize>,
}

/// A list of ids; a type of its own, because clap reads a `Vec` as a repeatable option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(pub Vec<u32>);

pub fn parse_ids(text: &str) -> Result<Ids, String> {
    text.split(',').map(|id| parse_id(id.trim())).collect::<Result<_, _>>().map(Ids)
}

pub fn parse_id(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| no_token_id(format_args!("{text:?}")))
}

/// What is wrong with something that is to be a token id.
pub fn no_token_id(found: impl Display) -> String {
    format!("{found} is not a token id (a whole number from 0 to {})", u32::MAX)
}

/// `q8` or `q4`.
pub fn parse_quantized(text: &str) -> Result<QuantFormat, String> {
    match text {
        "q8" => Ok(QuantFormat::Int8),
        "q4" => Ok(QuantFormat::Int4),
        _ => Err("give q8 or q4".to_owned()),
    }
}

/// What a GGUF file's matrices become.
pub fn parse_gguf_format(text: &str) -> Result<GgufFormat, String> {
    let known = || format!("give {}, f16, bf16 or f32", GgufFormat::MIXTURES.join(", "));
    GgufFormat::from_name(text).ok_or_else(known)
}

/// A float type; the others are another command's.
pub fn parse_float(text: &str) -> Result<Dtype, String> {
    match text.parse::<Precision>() {
        Ok(Precision { dtype, quantize: None, .. }) => Ok(dtype),
        Ok(precision) => Err(format!("give f32, f16 or bf16; `glass quantize --dtype {precision}` quantizes")),
        Err(_) => Err("give f32, f16 or bf16".to_owned()),
    }
}

/// An option that has another name now.
#[derive(Clone, Copy, Debug)]
pub enum Renamed {}

/// The error for `--bits 4` and `--quantize 4`, which names the option that does it.
pub fn parse_bits(text: &str) -> Result<Renamed, String> {
    Err(match text {
        "8" | "4" => format!("use --dtype q{text}"),
        _ => "use --dtype q8 or --dtype q4".to_owned(),
    })
}

pub fn from_0<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, String> {
    whole(text, 0)
}

pub fn from_1(text: &str) -> Result<NonZeroUsize, String> {
    whole(text, 1)
}

/// The end is said where a number is beyond it.
fn whole<N: FromStr<Err = ParseIntError>>(text: &str, from: u8) -> Result<N, String> {
    text.trim().parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => {
            format!("give a whole number from {from} to {}", u64::MAX >> (64 - 8 * size_of::<N>()))
        }
        _ => format!("give a whole number from {from} on"),
    })
}

pub fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.trim().parse().map_err(|_| "give a number, such as 0.5".to_owned())
}
