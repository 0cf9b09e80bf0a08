use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

/// Many prompts in one run.
#[derive(Debug, Args)]
pub struct Batch {
    /// Take each line of --prompt-file as a prompt, {"prompt": "text"} or {"prompt_ids": [1,2,3]}, with an "id" if you like,
    /// and continue N of them at a time, each as it would be alone
    #[arg(
        long,
        value_name = "N",
        requires = "prompt_file",
        conflicts_with_all = ["json", "num_beams", "exhaustive"]
    )]
    pub batch: Option<NonZeroUsize>,
    /// Where the texts go, a JSON object per line; prompts that are there already are not done again [default: standard
    /// output]
    #[arg(short, long, value_name = "FILE", requires = "batch")]
    pub output: Option<PathBuf>,
}
