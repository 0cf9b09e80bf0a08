//! `glass generate`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::{AnyModel, Compute, Decoding, Prompt};

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
    /// Prompt lookup decoding: draft up to N tokens from what followed the last ones earlier in the text, and verify them in
    /// one pass; faster where a text repeats itself, and the same text
    #[arg(long, value_name = "N", value_parser = parse_draft)]
    pub prompt_lookup: Option<NonZeroUsize>,
    /// Constrain the text to one JSON value that satisfies the JSON Schema in FILE, without whitespace between its parts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stop", "ignore_eos"])]
    pub json_schema: Option<PathBuf>,
    /// Print one JSON object at the end instead of streaming
    #[arg(long)]
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
