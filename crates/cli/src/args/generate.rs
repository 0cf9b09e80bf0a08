//! `glass generate`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::{AnyModel, COMPUTING, Compute, Decoding, OUTPUT, Prompt, TEXT};

/// The text is streamed to standard output, what it cost to standard error.
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub model: AnyModel,
    #[command(flatten)]
    pub prompt: Prompt,
    #[command(flatten)]
    pub compute: Compute,
    #[command(flatten)]
    pub decoding: Decoding,
    /// Prompt lookup decoding: draft up to N tokens from earlier text, and verify them in one pass
    ///
    /// The draft is what followed the last tokens earlier in the text. Faster where a text repeats itself, and the same
    /// text.
    #[arg(help_heading = COMPUTING, hide_short_help = true, long, value_name = "N", value_parser = parse_draft)]
    pub prompt_lookup: Option<NonZeroUsize>,
    /// A smaller model that guesses tokens ahead, which are checked in one pass: the same text, faster
    ///
    /// How many tokens it guesses follows how many are right, down to none where that is not worth its time. Its vocabulary
    /// may be another: then text is translated. It is computed with as the model is, in the type it is stored in.
    #[arg(help_heading = COMPUTING, hide_short_help = true, long, value_name = "MODEL", conflicts_with = "prompt_lookup")]
    pub draft: Option<String>,
    /// Constrain the text to one JSON value that satisfies the JSON Schema in FILE
    ///
    /// There is no whitespace between its parts.
    #[arg(help_heading = TEXT, hide_short_help = true, long, value_name = "FILE", conflicts_with_all = ["stop", "ignore_eos"])]
    pub json_schema: Option<PathBuf>,
    /// Print the prompt before its continuation
    #[arg(help_heading = OUTPUT, long, conflicts_with = "json")]
    pub echo: bool,
    /// Print one JSON object at the end instead of streaming
    #[arg(help_heading = OUTPUT, long)]
    pub json: bool,
}

/// A longer draft costs more per pass than any text repeats.
const MAX_DRAFT: usize = 1024;

fn parse_draft(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(tokens) if tokens.get() <= MAX_DRAFT => Ok(tokens),
        _ => Err(format!("not a whole number from 1 to {MAX_DRAFT}")),
    }
}
