//! `glass search`: its options.

use std::num::NonZeroUsize;

use clap::Args;
use glass_generate::EarlyStopping;

use super::{Cache, Compute, Length, Model, Prompt, Rules};

/// Nothing is drawn: the same prompt gives the same texts.
#[derive(Debug, Args)]
pub struct Search {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub prompt: Prompt,
    #[command(flatten)]
    pub compute: Compute,
    #[command(flatten)]
    pub length: Length,
    /// Beam width: how many texts are followed at a time, as in transformers' beam search
    #[arg(long, value_name = "N", default_value = "4")]
    pub num_beams: NonZeroUsize,
    /// Instead of following beams, score every text of up to --max-new-tokens tokens, by the model's own distribution;
    /// for small vocabularies and few tokens
    #[arg(long, conflicts_with_all = ["num_beams", "early_stopping", "Rules", "Cache"])]
    pub exhaustive: bool,
    /// Rank texts by log-probability / length^X: above 0 favours long texts, below 0 short ones [default: the model's
    /// generation_config.json, else 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub length_penalty: Option<f64>,
    /// Once N texts are finished: end at once (true), when the best beam is not better as it is (false), or when it cannot
    /// become better (never) [default: the model's generation_config.json, else false]
    #[arg(long, value_name = "true|false|never")]
    pub early_stopping: Option<EarlyStopping>,
    /// How many texts to print, the best first
    #[arg(long, value_name = "K", default_value = "1")]
    pub num_return_sequences: NonZeroUsize,
    #[command(flatten)]
    pub rules: Rules,
    #[command(flatten)]
    pub cache: Cache,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
