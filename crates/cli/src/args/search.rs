use std::num::NonZeroUsize;

use clap::Args;
use glass_generate::EarlyStopping;

/// Looking for the most probable text instead of choosing token by token.
#[derive(Debug, Args)]
pub struct Search {
    /// Follow the N most probable texts at a time, as transformers' beam search; 1: choose token by token
    #[arg(long, value_name = "N")]
    pub num_beams: Option<NonZeroUsize>,
    /// Look through all texts of so many tokens, where vocabulary and --max-new-tokens allow it
    #[arg(long, conflicts_with = "num_beams")]
    pub exhaustive: bool,
    /// Beams are ordered by log-probability / length^X: above 0 long texts are favoured, below 0 short ones [default: 1]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub length_penalty: Option<f64>,
    /// Once N texts are finished: end at once (true), when the best beam is not better as it is (false), or when it cannot
    /// become better (never) [default: false]
    #[arg(long, value_name = "true|false|never", conflicts_with = "exhaustive")]
    pub early_stopping: Option<EarlyStopping>,
    /// How many texts a search returns [default: 1]
    #[arg(long, value_name = "K")]
    pub num_return_sequences: Option<NonZeroUsize>,
}
