//! Comma-separated values (RFC 4180, with newlines as Unix has them), for spreadsheets and data frames.

use serde::Serialize;
use serde_json::Value;

use super::RenderError;

/// A head with the fields' names, and a line for each row.
pub fn write<T: Serialize>(rows: &[T]) -> Result<String, RenderError> {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let Value::Object(fields) = serde_json::to_value(row).map_err(failed)? else {
            return Err(failed("a row without fields"));
        };
        if number == 0 {
            line(&mut text, fields.keys().map(|name| quoted(name)));
        }
        line(&mut text, fields.values().map(field));
    }
    Ok(text)
}

fn line(text: &mut String, fields: impl Iterator<Item = String>) {
    text.push_str(&fields.collect::<Vec<_>>().join(","));
    text.push('\n');
}

/// Empty where there is nothing.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

fn failed(error: impl ToString) -> RenderError {
    RenderError::Csv(error.to_string())
}
