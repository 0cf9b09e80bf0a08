//! `glass chat`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use glass_text::ChatInput;

use super::{AnyModel, Cache, Compute, Sampling, TEXT, from_1};

const CONVERSATION: &str = "Conversation";

/// Variables of a template.
#[derive(Clone, Debug)]
pub struct Variables(pub serde_json::Map<String, serde_json::Value>);

pub fn parse_variables(text: &str) -> Result<Variables, String> {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(variables)) => {
            ChatInput::check_variables(&variables)?;
            glass_json::check_integers(text.as_bytes()).map_err(|error| error.to_string())?;
            Ok(Variables(variables))
        }
        _ => Err("not a JSON object, as {\"enable_thinking\": false}".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct Chat {
    #[command(flatten)]
    pub model: AnyModel,
    #[command(flatten)]
    pub compute: Compute,
    /// The system message, which comes first in every prompt
    #[arg(help_heading = CONVERSATION, long, value_name = "TEXT")]
    pub system: Option<String>,
    /// A Jinja template, in place of the one in the model's folder
    #[arg(help_heading = CONVERSATION, hide_short_help = true, long, value_name = "FILE")]
    pub chat_template: Option<PathBuf>,
    /// Variables for the chat template, as a JSON object: {"enable_thinking": false}
    #[arg(long, value_name = "JSON", value_parser = parse_variables)]
    pub chat_template_kwargs: Option<Variables>,
    /// Continue a conversation that /save wrote
    #[arg(help_heading = CONVERSATION, long, value_name = "FILE")]
    pub load: Option<PathBuf>,
    /// Tokens of an answer at most [default: the model's generation_config.json, else 1024]
    #[arg(help_heading = TEXT, long, short = 'n', value_name = "N", value_parser = from_1)]
    pub max_new_tokens: Option<NonZeroUsize>,
    /// Do not keep what you type for the next run
    ///
    /// GLASS_HISTORY=off does the same for every run, and GLASS_HISTORY=FILE keeps it in another place.
    #[arg(help_heading = CONVERSATION, long)]
    pub no_history: bool,
    #[command(flatten)]
    pub cache: Cache,
    #[command(flatten)]
    pub sampling: Sampling,
    /// End an answer before this string (repeatable)
    #[arg(help_heading = TEXT, long, value_name = "TEXT")]
    pub stop: Vec<String>,
}
