//! `glass eval`: what a person types.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use glass_attention::CachePlan;

use super::{Compute, Model};

#[derive(Debug, Args)]
pub struct Eval {
    #[command(subcommand)]
    pub measure: Measure,
}

#[derive(Debug, Subcommand)]
pub enum Measure {
    /// How well a model predicts a text: perplexity, nats per token, bits per byte
    Perplexity(Perplexity),
    /// What a model still finds in a long text: a value behind a key, or a chain of keys
    Needle(Needle),
}

/// Ways to remember what is read.
#[derive(Debug, Args)]
pub struct Caches {
    /// What is kept of the text read, as for `glass generate`; repeated, each is measured
    #[arg(long, value_name = "POLICY")]
    pub cache: Vec<CachePlan>,
    /// Tokens that go through the model together; the result does not depend on it [default: 512]
    #[arg(long, value_name = "N")]
    pub prefill_chunk: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub struct Perplexity {
    #[command(flatten)]
    pub model: Model,
    /// A UTF-8 file, scored to its last byte
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Tokens that the model reads at once [default: its context, 2048 at most]
    #[arg(long, value_name = "N")]
    pub window: Option<NonZeroUsize>,
    /// Tokens from the beginning of a window to that of the next; each token is scored once, from N - M + 1 tokens
    /// before it at least, unless the text has fewer [default: N, no overlap]
    #[arg(long, value_name = "M")]
    pub stride: Option<NonZeroUsize>,
    /// Score no more than the first T tokens
    #[arg(long, value_name = "T")]
    pub max_tokens: Option<NonZeroUsize>,
    #[command(flatten)]
    pub compute: Compute,
    /// Say how well tokens are predicted by how many were read before them: 1, 2 to 3, 4 to 7, ...
    #[arg(long)]
    pub by_position: bool,
    /// Draw that as curves, one for each cache, into an SVG file
    #[arg(long, value_name = "FILE", requires = "by_position")]
    pub plot: Option<PathBuf>,
    #[command(flatten)]
    pub caches: Caches,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The model reads a text of random tokens (or of --haystack) in which a key and a value stand somewhere, is then given the
/// key again, and must go on with the value.
#[derive(Debug, Args)]
pub struct Needle {
    #[command(flatten)]
    pub model: Model,
    /// Tokens that are read, up to the last one before the end of the value; several behind commas
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "256,512,1024", value_parser = up_to::<MOST_TOKENS>)]
    pub length: Vec<NonZeroUsize>,
    /// Where the key and its value stand: 0 at the beginning, 1 at the end [default: 0,0.25,0.5,0.75,1]
    #[arg(long, value_name = "X,X", value_delimiter = ',', allow_negative_numbers = true, value_parser = share)]
    pub depth: Vec<f64>,
    /// Haystacks of each length and depth
    #[arg(long, value_name = "N", default_value = "8", value_parser = up_to::<MOST_TOKENS>)]
    pub trials: NonZeroUsize,
    /// single: one value behind one key. chain: keys that lead from one to the next, all of which must be found
    #[arg(long, default_value = "single")]
    pub mode: Mode,
    /// Links of a chain; several behind commas [default: 1,2,4]
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = up_to::<MOST_PARTS>)]
    pub hops: Vec<NonZeroUsize>,
    /// Tokens of a key
    #[arg(long, value_name = "N", default_value = "4", value_parser = up_to::<MOST_PARTS>)]
    pub key: NonZeroUsize,
    /// Tokens of the value [default: 4]
    #[arg(long, value_name = "N", value_parser = up_to::<MOST_PARTS>)]
    pub value: Option<NonZeroUsize>,
    /// A UTF-8 file whose tokens fill the haystack, from a place drawn by chance [default: random tokens]
    #[arg(long, value_name = "FILE")]
    pub haystack: Option<PathBuf>,
    /// The same seed gives the same haystacks, whatever else is measured
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub compute: Compute,
    #[command(flatten)]
    pub caches: Caches,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Draw what was found as a heat map, one for each cache, into an SVG file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Single,
    Chain,
}

/// Far more tokens than a model reads, and so few that they fit into memory.
const MOST_TOKENS: usize = 1 << 24;
/// Of a key, a value, a chain.
const MOST_PARTS: usize = 1024;

fn up_to<const MOST: usize>(text: &str) -> Result<NonZeroUsize, String> {
    match text.trim().parse::<NonZeroUsize>() {
        Ok(number) if number.get() <= MOST => Ok(number),
        _ => Err(format!("give a whole number from 1 to {MOST}")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        // Zero has two signs, of which people see one.
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share.abs()),
        _ => Err("give a share of the text, from 0 to 1".into()),
    }
}
