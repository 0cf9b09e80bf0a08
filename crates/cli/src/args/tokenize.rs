//! `glass tokenize`: its options.

use clap::{Args, ValueHint};

use super::{MODEL, OUTPUT, Prompt};

/// Needs no weights: a tokenizer is enough.
#[derive(Debug, Args)]
pub struct Tokenize {
    /// A model's folder, a GGUF file, a tokenizer.json, or a hub name (org/name) [default: the built-in model]
    #[arg(value_name = "MODEL", env = "GLASS_MODEL", hide_env_values = true, value_hint = ValueHint::AnyPath)]
    pub model: Option<String>,
    /// The text, as -p has it
    #[arg(value_name = "TEXT", conflicts_with_all = ["text", "ids", "prompt_file"])]
    pub argument: Option<String>,
    /// Branch, tag or commit of a hub model
    #[arg(help_heading = MODEL, long, hide_short_help = true, requires = "model")]
    pub revision: Option<String>,
    #[command(flatten)]
    pub prompt: Prompt,
    /// Take the text as a user's message, and show the tokens of the model's chat template around it
    #[arg(help_heading = OUTPUT, long, conflicts_with = "ids")]
    pub chat: bool,
    /// Print one JSON object
    #[arg(help_heading = OUTPUT, long)]
    pub json: bool,
}
