//! `glass search`: its options.

use std::num::NonZeroUsize;

use clap::Args;
use glass_generate::EarlyStopping;

use super::{Cache, Compute, Length, Model, OUTPUT, Prompt, Rules, from_1, number};

const SEARCH: &str = "Search";

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
    /// Beam width: how many texts are followed at a time
    ///
    /// As in transformers' beam search.
    #[arg(help_heading = SEARCH, long, value_name = "N", default_value = "4", value_parser = from_1)]
    pub num_beams: NonZeroUsize,
    /// Score every text of up to --max-new-tokens tokens instead of following beams
    ///
    /// By the model's own distribution. For small vocabularies and few tokens.
    #[arg(help_heading = SEARCH, long, conflicts_with_all = ["num_beams", "early_stopping", "Rules", "Cache"])]
    pub exhaustive: bool,
    /// Rank texts by log-probability / length^X
    ///
    /// Above 0 favours long texts, below 0 short ones [default: the model's generation_config.json, else 1].
    #[arg(help_heading = SEARCH, hide_short_help = true, long, value_name = "X", allow_negative_numbers = true, value_parser = number::<f64>)]
    pub length_penalty: Option<f64>,
    /// When to end, once N texts are finished
    ///
    /// At once (true), when the best beam is not better as it is (false), or when it cannot become better (never)
    /// [default: the model's generation_config.json, else false].
    #[arg(help_heading = SEARCH, hide_short_help = true, long, value_name = "true|false|never")]
    pub early_stopping: Option<EarlyStopping>,
    /// How many texts to print, the best first
    #[arg(help_heading = OUTPUT, long, value_name = "K", default_value = "1", value_parser = from_1)]
    pub num_return_sequences: NonZeroUsize,
    #[command(flatten)]
    pub rules: Rules,
    #[command(flatten)]
    pub cache: Cache,
    /// Print one JSON object
    #[arg(help_heading = OUTPUT, long)]
    pub json: bool,
}
