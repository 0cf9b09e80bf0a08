//! What can be wrong with a config. Every message is one line: where, what, and what would fix it.

use std::fmt::Display;

use serde_json::Value;
use thiserror::Error;

/// Why a config could not be read.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{origin}: {problem}")]
pub struct ConfigError {
    /// The file with the overrides that were laid over it, or one override.
    origin: String,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(origin: impl Into<String>, problem: impl ToString) -> Self {
        let (origin, problem) = (origin.into(), problem.to_string());
        Self { origin, problem }
    }
}

/// One field and what is wrong with it, whichever file it came from.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{field} {problem}")]
pub struct FieldError {
    pub(crate) field: String,
    /// Begins with the value: `= 5: must be even`.
    problem: String,
}

/// What was read, or the field that is wrong.
pub(crate) type Checked<T> = Result<T, FieldError>;

impl FieldError {
    pub(crate) fn new(field: &str, problem: String) -> Self {
        let field = field.to_owned();
        Self { field, problem }
    }

    /// The value has the wrong type, is out of range, or does not fit the other fields.
    pub(crate) fn invalid(field: &str, value: impl Display, rule: impl Display) -> Self {
        Self::new(field, format!("= {value}: {rule}"))
    }

    /// The value means something, but this implementation does not compute it.
    pub(crate) fn unsupported(field: &str, value: impl Display, why: impl Display) -> Self {
        Self::new(field, format!("= {value} is not supported: {why}"))
    }

    /// Two fields say different things.
    pub(crate) fn contradiction((field, value): (&str, impl Display), (other, its): (&str, impl Display)) -> Self {
        let problem = format!("= {value} contradicts {other} = {its}: keep the one that is meant");
        Self::new(field, problem)
    }
}

/// A value as JSON, short enough for one line.
pub(crate) fn shown(value: &Value) -> String {
    one_line(&glass_json::shown(value))
}

/// The start of a text, with control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    const MAX_LETTERS: usize = 60;
    let mut line = String::new();
    for (i, letter) in text.chars().enumerate() {
        match letter {
            _ if i == MAX_LETTERS => return line + "...",
            _ if letter.is_control() => line.extend(letter.escape_default()),
            _ => line.push(letter),
        }
    }
    line
}
