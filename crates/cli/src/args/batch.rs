//! `glass batch`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::{Compute, Decoding, Model};

/// Each prompt is continued as `glass generate` would continue it alone.
#[derive(Debug, Args)]
pub struct Batch {
    #[command(flatten)]
    pub model: Model,
    /// A JSONL file with a prompt per line: {"prompt": "text"} or {"prompt_ids": [1,2,3]}, and optionally an "id"
    #[arg(long, value_name = "FILE", alias = "prompt-file")]
    pub prompts: PathBuf,
    /// Texts that are written together: the next prompt takes the place of one that is finished. The texts do not depend on it
    #[arg(long, value_name = "N", default_value = "8")]
    pub batch: NonZeroUsize,
    /// The file to write, a JSON object per line; prompts that are already in it are skipped [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub compute: Compute,
    #[command(flatten)]
    pub decoding: Decoding,
}
