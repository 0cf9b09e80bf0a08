//! `glass eval`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use glass_kv_cache::CacheConfig;

use super::{COMPUTING, Compute, Model, OUTPUT, Overwrite, from_0, from_1};

const MEASURE: &str = "Measure";

#[derive(Debug, Args)]
pub struct Eval {
    #[command(subcommand)]
    pub measure: Measure,
}

#[derive(Debug, Subcommand)]
pub enum Measure {
    /// How well a model predicts a text: perplexity, nats per token, bits per byte
    Perplexity(Perplexity),
    /// What a model can retrieve from a long text: the value of a key, or a chain of keys
    Needle(Needle),
}

/// The KV caches to compare.
#[derive(Debug, Args)]
pub struct Caches {
    /// Keys and values that a layer keeps, as for `glass generate`, and their type: dtype=f16; repeat it to measure several
    #[arg(help_heading = COMPUTING, long, value_name = "POLICY")]
    pub cache: Vec<CacheConfig>,
    /// Tokens per forward pass; the result does not depend on it [default: 512]
    #[arg(help_heading = COMPUTING, hide_short_help = true, long, value_name = "N", value_parser = from_1)]
    pub prefill_chunk: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub struct Perplexity {
    #[command(flatten)]
    pub model: Model,
    /// A UTF-8 file, scored to its last byte
    #[arg(help_heading = MEASURE, long, value_name = "FILE")]
    pub text: PathBuf,
    /// Tokens of a window, which is read from an empty cache [default: the context, 2048 at most]
    #[arg(help_heading = MEASURE, long, value_name = "N", value_parser = from_1)]
    pub window: Option<NonZeroUsize>,
    /// Tokens from the start of a window to that of the next [default: the window, no overlap]
    ///
    /// Each token is scored once, with a context of N - M + 1 tokens at least, unless the text has fewer.
    #[arg(help_heading = MEASURE, long, value_name = "M", value_parser = from_1)]
    pub stride: Option<NonZeroUsize>,
    /// Score the first T tokens only
    #[arg(help_heading = MEASURE, long, value_name = "T", value_parser = from_1)]
    pub max_tokens: Option<NonZeroUsize>,
    #[command(flatten)]
    pub compute: Compute,
    /// Report the loss by the number of tokens read before: 1, 2 to 3, 4 to 7, ...
    #[arg(help_heading = MEASURE, long)]
    pub by_position: bool,
    /// Plot it as an SVG file, a curve for each cache
    #[arg(help_heading = OUTPUT, long, value_name = "FILE", requires = "by_position")]
    pub plot: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: Overwrite,
    #[command(flatten)]
    pub caches: Caches,
    /// Print one JSON object
    #[arg(help_heading = OUTPUT, long)]
    pub json: bool,
}

/// The model reads random tokens (or --haystack) with a key and a value among them, then the key again, and must continue
/// with the value. A chat model can be asked in words: --mode words.
#[derive(Debug, Args)]
pub struct Needle {
    #[command(flatten)]
    pub model: Model,
    /// Tokens of the text; several separated by commas
    ///
    /// Up to the last one before the end of the value; with --mode words: most tokens of the prompt.
    #[arg(help_heading = MEASURE, long, value_name = "N,N", value_delimiter = ',', default_value = "256,512,1024", value_parser = up_to::<MAX_TOKENS>)]
    pub length: Vec<NonZeroUsize>,
    /// Position of the key and its value: 0 at the beginning, 1 at the end [default: 0,0.25,0.5,0.75,1]
    #[arg(help_heading = MEASURE, long, value_name = "X,X", value_delimiter = ',', allow_negative_numbers = true, value_parser = fraction)]
    pub depth: Vec<f64>,
    /// Haystacks per length and depth
    #[arg(help_heading = MEASURE, long, value_name = "N", default_value = "8", value_parser = up_to::<MAX_TOKENS>)]
    pub trials: NonZeroUsize,
    /// single: the value of one key; chain: keys that lead from one to the next; words: a sentence, for chat models
    ///
    /// All keys of a chain must be found. In words, a sentence gives a password, which the model is asked for through its chat
    /// template.
    #[arg(help_heading = MEASURE, long, default_value = "single")]
    pub mode: Mode,
    /// Links of a chain; several separated by commas [default: 1,2,4]
    #[arg(help_heading = MEASURE, long, value_name = "N,N", value_delimiter = ',', value_parser = up_to::<MAX_PARTS>)]
    pub hops: Vec<NonZeroUsize>,
    /// Tokens of a key [default: 4]
    #[arg(help_heading = MEASURE, hide_short_help = true, long, value_name = "N", value_parser = up_to::<MAX_PARTS>)]
    pub key: Option<NonZeroUsize>,
    /// Tokens of the value [default: 4]
    #[arg(help_heading = MEASURE, hide_short_help = true, long, value_name = "N", value_parser = up_to::<MAX_PARTS>)]
    pub value: Option<NonZeroUsize>,
    /// A UTF-8 file whose tokens fill the haystack [default: random tokens]
    ///
    /// From a random position on. In words, its sentences [default: built-in ones].
    #[arg(help_heading = MEASURE, long, value_name = "FILE")]
    pub haystack: Option<PathBuf>,
    /// With --mode words: a chat template, instead of the model's own
    #[arg(help_heading = MEASURE, hide_short_help = true, long, value_name = "FILE")]
    pub chat_template: Option<PathBuf>,
    /// Random seed: the same seed gives the same haystacks
    ///
    /// Whatever else is measured.
    #[arg(help_heading = MEASURE, long, value_name = "N", default_value_t = 0, value_parser = from_0::<u64>)]
    pub seed: u64,
    #[command(flatten)]
    pub compute: Compute,
    #[command(flatten)]
    pub caches: Caches,
    /// Print one JSON object
    #[arg(help_heading = OUTPUT, long)]
    pub json: bool,
    /// Plot the results as an SVG file, a heat map for each cache
    #[arg(help_heading = OUTPUT, long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: Overwrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Single,
    Chain,
    Words,
}

/// Far more tokens than a model reads, and few enough for memory.
const MAX_TOKENS: usize = 1 << 24;
/// Tokens of a key or a value, links of a chain.
const MAX_PARTS: usize = 1024;

fn up_to<const MAX: usize>(text: &str) -> Result<NonZeroUsize, String> {
    match text.trim().parse::<NonZeroUsize>() {
        Ok(number) if number.get() <= MAX => Ok(number),
        _ => Err(format!("give a whole number from 1 to {MAX}")),
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        // -0 is printed as 0.
        Ok(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction.abs()),
        _ => Err("give a share of the text, from 0 to 1".into()),
    }
}
