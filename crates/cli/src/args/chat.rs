//! `glass chat`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::{Cache, Compute, Model, Sampling};

/// Variables of a template.
#[derive(Clone, Debug)]
pub struct Variables(pub serde_json::Map<String, serde_json::Value>);

fn parse_variables(text: &str) -> Result<Variables, String> {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(variables)) => Ok(Variables(variables)),
        _ => Err("not a JSON object, as {\"enable_thinking\": false}".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct Chat {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub compute: Compute,
    /// The system message, which comes first in every prompt
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// A Jinja template, in place of the one in the model's folder
    #[arg(long, value_name = "FILE")]
    pub chat_template: Option<PathBuf>,
    /// Variables for the chat template, as a JSON object: {"enable_thinking": false}
    #[arg(long, value_name = "JSON", value_parser = parse_variables)]
    pub chat_template_kwargs: Option<Variables>,
    /// Continue a conversation that /save wrote
    #[arg(long, value_name = "FILE")]
    pub load: Option<PathBuf>,
    /// Maximum number of tokens of an answer [default: the model's generation_config.json, else 1024]
    #[arg(long, short = 'n', value_name = "N")]
    pub max_new_tokens: Option<NonZeroUsize>,
    #[command(flatten)]
    pub cache: Cache,
    #[command(flatten)]
    pub sampling: Sampling,
    /// End an answer before this string (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}
