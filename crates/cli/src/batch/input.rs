//! A file of prompts, one JSON object per line.

use std::{collections::HashMap, fs, path::Path};

use serde_json::{Value, json};

use crate::{args::no_token_id, error::CliError, prompt::Prompt};

/// A line with a prompt.
pub struct Line {
    /// Counted from 1, as editors do.
    pub number: usize,
    /// A string or a whole number; the line's number, if it has no other.
    pub id: Value,
    pub prompt: Prompt,
}

/// A line without one.
pub struct BadLine {
    pub number: usize,
    pub reason: String,
}

impl Line {
    /// The prompt as the line has it: the name of its field, and its value.
    pub fn field(&self) -> (&'static str, Value) {
        match &self.prompt {
            Prompt::Text(text) => ("prompt", json!(text)),
            Prompt::Ids(ids) => ("prompt_ids", json!(ids)),
        }
    }
}

/// Every line that is not blank.
///
/// # Errors
/// The file cannot be read, or has no prompt at all.
pub fn read(path: &Path) -> Result<Vec<Result<Line, BadLine>>, CliError> {
    let bytes = fs::read(path).map_err(CliError::reading(path))?;
    // Some editors begin a file with a byte order mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut numbers_by_id: HashMap<String, usize> = HashMap::new();
    let mut lines = Vec::new();
    for (number, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let line = parse(number, bytes).and_then(|line| match numbers_by_id.insert(line.id.to_string(), number) {
            None => Ok(line),
            Some(first) => Err(format!("its id {} is that of line {first} too: give it another", line.id)),
        });
        lines.push(line.map_err(|reason| BadLine { number, reason }));
    }
    if lines.is_empty() {
        return Err(CliError::input(
            path,
            "has no prompts: give a line {\"prompt\": \"text\"} or {\"prompt_ids\": [1,2,3]} for each",
        ));
    }
    Ok(lines)
}

fn parse(number: usize, bytes: &[u8]) -> Result<Line, String> {
    let value = serde_json::from_slice(bytes).map_err(|error| {
        // Its line number is 1, whichever line of the file this is.
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        format!("is not JSON: {what} in column {}", error.column())
    })?;
    let Value::Object(fields) = value else {
        return Err("is not an object: {\"prompt\": \"text\"} or {\"prompt_ids\": [1,2,3]}".into());
    };
    let known = ["id", "prompt", "prompt_ids"];
    if let Some(other) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "has a field {other:?} that nothing is done with: leave it out (there are id, prompt and prompt_ids)"
        ));
    }
    let id = match fields.get("id") {
        None | Some(Value::Null) => json!(number),
        Some(id) if id.is_string() || id.is_u64() || id.is_i64() => id.clone(),
        Some(id) => {
            return Err(format!("its id {id} is neither a string nor a whole number"));
        }
    };
    let prompt = match (fields.get("prompt"), fields.get("prompt_ids")) {
        (Some(Value::String(text)), None) => Prompt::Text(text.clone()),
        (None, Some(Value::Array(ids))) => Prompt::Ids(ids.iter().map(token_id).collect::<Result<_, _>>()?),
        (None, None) => return Err("has neither prompt nor prompt_ids".into()),
        (Some(_), Some(_)) => return Err("has both prompt and prompt_ids: give one".into()),
        (Some(_), None) => return Err("its prompt is not a string".into()),
        (None, Some(_)) => return Err("its prompt_ids are not a list".into()),
    };
    Ok(Line { number, id, prompt })
}

fn token_id(value: &Value) -> Result<u32, String> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| no_token_id(value))
}
