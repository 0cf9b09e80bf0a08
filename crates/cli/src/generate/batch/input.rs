//! A file of prompts, one JSON object per line.

use std::{collections::HashMap, fs, path::Path};

use serde_json::{Value, json};

use crate::{error::CliError, prompt::Given};

/// One prompt, where it stands, and by what it is known.
pub struct Prompt {
    /// Counted from 1, as editors do.
    pub line: usize,
    /// A string or a whole number; the line's, if it has no other.
    pub id: Value,
    pub given: Given,
}

/// A line that is no prompt.
pub struct Bad {
    pub line: usize,
    pub reason: String,
}

impl Prompt {
    /// The prompt as it stood there: the name of its field, and its value.
    pub fn field(&self) -> (&'static str, Value) {
        match &self.given {
            Given::Text(text) => ("prompt", json!(text)),
            Given::Ids(ids) => ("prompt_ids", json!(ids)),
        }
    }
}

/// Every line that is not blank.
///
/// # Errors
/// The file cannot be read, or has no prompt at all.
pub fn read(path: &Path) -> Result<Vec<Result<Prompt, Bad>>, CliError> {
    let bytes = fs::read(path).map_err(|source| CliError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut lines_by_id: HashMap<String, usize> = HashMap::new();
    let mut rows = Vec::new();
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let row = prompt(line, bytes).and_then(|prompt| {
            match lines_by_id.insert(prompt.id.to_string(), line) {
                None => Ok(prompt),
                Some(first) => Err(format!(
                    "its id {} is that of line {first} too: give it another",
                    prompt.id
                )),
            }
        });
        rows.push(row.map_err(|reason| Bad { line, reason }));
    }
    match rows.is_empty() {
        true => Err(CliError::Input {
            path: path.to_owned(),
            reason: "has no prompts: give a line {\"prompt\": \"text\"} or {\"prompt_ids\": [1,2,3]} for each".into(),
        }),
        false => Ok(rows),
    }
}

fn prompt(line: usize, bytes: &[u8]) -> Result<Prompt, String> {
    let value = serde_json::from_slice(bytes).map_err(|error| {
        // What it says of lines is about this one alone.
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
        None | Some(Value::Null) => json!(line),
        Some(id) if id.is_string() || id.is_u64() || id.is_i64() => id.clone(),
        Some(id) => {
            return Err(format!(
                "its id {id} is neither a string nor a whole number"
            ));
        }
    };
    let given = match (fields.get("prompt"), fields.get("prompt_ids")) {
        (Some(Value::String(text)), None) => Given::Text(text.clone()),
        (None, Some(Value::Array(ids))) => {
            Given::Ids(ids.iter().map(token_id).collect::<Result<_, _>>()?)
        }
        (None, None) => return Err("has neither prompt nor prompt_ids".into()),
        (Some(_), Some(_)) => return Err("has both prompt and prompt_ids: give one".into()),
        (Some(_), None) => return Err("its prompt is not a string".into()),
        (None, Some(_)) => return Err("its prompt_ids are not a list".into()),
    };
    Ok(Prompt { line, id, given })
}

fn token_id(value: &Value) -> Result<u32, String> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| format!("{value} is not a token id (a whole number from 0 on)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_prompts_or_say_what_is_wrong() {
        let good = |text: &str| prompt(7, text.as_bytes()).map(|p| (p.id, p.given)).ok();
        assert!(
            matches!(good(r#"{"prompt": "a\nb"}"#), Some((id, Given::Text(t))) if id == 7 && t == "a\nb")
        );
        assert!(
            matches!(good(r#"{"id": "x", "prompt_ids": [3, 0]}"#), Some((id, Given::Ids(i))) if id == "x" && i == [3, 0])
        );
        for (text, part) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[1]", "not an object"),
            ("{}", "neither"),
            (r#"{"prompt": 3}"#, "not a string"),
            (r#"{"prompt": "a", "prompt_ids": [1]}"#, "both"),
            (r#"{"prompt_ids": "1"}"#, "not a list"),
            (r#"{"prompt_ids": [1, -2]}"#, "-2 is not a token id"),
            (r#"{"prompt_ids": [4294967296]}"#, "not a token id"),
            (r#"{"prompt": "a", "temperature": 1}"#, "\"temperature\""),
            (r#"{"prompt": "a", "id": 1.5}"#, "1.5"),
            (r#"{"prompt": "a", "id": [1]}"#, "[1]"),
        ] {
            let error = prompt(1, text.as_bytes()).err().unwrap();
            assert!(
                error.contains(part) && !error.contains('\n'),
                "{text}: {error}"
            );
        }
    }
}
