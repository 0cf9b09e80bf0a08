use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use glass_attention::CachePlan;

use super::{Compute, Model, Sampling};

#[derive(Debug, Args)]
pub struct Chat {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub compute: Compute,
    /// What the model is to be; it stands before everything that is said
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// A Jinja template, in place of the one in the model's folder
    #[arg(long, value_name = "FILE")]
    pub chat_template: Option<PathBuf>,
    /// Go on with a conversation that /save wrote
    #[arg(long, value_name = "FILE")]
    pub load: Option<PathBuf>,
    /// Most tokens of an answer [default: the model's generation_config.json, else 1024]
    #[arg(long, short = 'n', value_name = "N")]
    pub max_new_tokens: Option<NonZeroUsize>,
    /// What is kept of the text so far, as in `glass generate`
    #[arg(long, value_name = "POLICY")]
    pub cache: Option<CachePlan>,
    /// Tokens of a prompt that go through the model together; the result does not depend on it [default: 512]
    #[arg(long, value_name = "N")]
    pub prefill_chunk: Option<NonZeroUsize>,
    #[command(flatten)]
    pub sampling: Sampling,
    /// End an answer before this text (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}
