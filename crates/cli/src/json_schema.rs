//! `glass generate --json-schema`: a text that is JSON of a given shape.

use std::{fs, path::Path};

use glass_generate::{FinishReason, Generated, JsonSchema, Llama};
use serde_json::Value;

use crate::{error::CliError, say::warn, stream};

/// # Errors
/// The file cannot be read, or holds no schema that a text can be held to.
pub fn read(path: &Path) -> Result<JsonSchema, CliError> {
    let text = fs::read_to_string(path).map_err(CliError::reading(path))?;
    JsonSchema::parse(&text).map_err(|error| CliError::input(path, error.to_string()))
}

/// Warns where the text is not the JSON that was asked for.
pub fn warn_if_not_json(out: &Generated, llama: &Llama) {
    if out.finish_reason == FinishReason::Length {
        warn([format!(
            "the JSON is cut after {} tokens, before its end ({})",
            out.ids.len(),
            stream::cut_off(out, llama)
        )]);
    } else if !matches!(out.finish_reason, FinishReason::Interrupted | FinishReason::NoToken)
        && let Some(text) = &out.text
        && let Err(error) = serde_json::from_str::<Value>(text)
    {
        // Where the schema allows anything, a number may be larger than any float.
        warn([format!("the text has JSON's grammar, but: {error}")]);
    }
}
