//! `glass batch`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::{COMPUTING, Compute, Decoding, Model, OUTPUT, Overwrite, from_1};

/// Each prompt is continued as `glass generate` would continue it alone.
#[derive(Debug, Args)]
pub struct Batch {
    #[command(flatten)]
    pub model: Model,
    /// A JSONL file with a prompt per line
    ///
    /// {"prompt": "text"} or {"prompt_ids": [1,2,3]}, and optionally an "id".
    #[arg(help_heading = "Prompts", long, value_name = "FILE", alias = "prompt-file")]
    pub prompts: PathBuf,
    /// Texts that are written together; they do not depend on it
    ///
    /// The next prompt takes the place of a text as soon as that is finished.
    #[arg(help_heading = COMPUTING, long, value_name = "N", default_value = "8", value_parser = from_1)]
    pub batch: NonZeroUsize,
    /// The file to write, a JSON object per line [default: standard output]
    ///
    /// Prompts that are already in it are skipped, so that an interrupted run goes on. --force starts it anew.
    #[arg(help_heading = OUTPUT, short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: Overwrite,
    #[command(flatten)]
    pub compute: Compute,
    #[command(flatten)]
    pub decoding: Decoding,
}
