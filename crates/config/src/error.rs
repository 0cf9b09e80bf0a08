//! What can be wrong with a config. Every message is one line: where, what, and what would fix it.

use serde_json::Value;
use thiserror::Error;

/// Why a config could not be read.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ConfigError {
    #[error("{path}: there is no such file; give the path of a model's config.json")]
    NotFound { path: String },
    #[error("{path}: is a directory; give the path of the config.json in it")]
    IsDirectory { path: String },
    #[error("{path}: cannot be read ({reason}); check the path and its permissions")]
    Unreadable { path: String, reason: String },
    #[error(
        "{origin}: is not text (byte {offset} is not UTF-8); a config.json is JSON, so this may be \
         another file or a damaged download"
    )]
    NotUtf8 { origin: String, offset: usize },
    #[error("{origin}: is empty; download the model's config.json again")]
    Empty { origin: String },
    #[error(
        "{origin}: is not valid JSON: {reason}; correct the file there or download it again{hint}"
    )]
    Syntax {
        origin: String,
        reason: String,
        hint: &'static str,
    },
    #[error(
        "{origin}: holds {found} where a JSON object {{...}} is expected; is this a model's \
         config.json?"
    )]
    NotAnObject { origin: String, found: &'static str },
    /// A field of the file; `origin` also names the overrides that were laid over it.
    #[error("{origin}: {error}")]
    Field { origin: String, error: FieldError },
    /// An override that cannot be understood.
    #[error("override `{text}`: {rule}")]
    OverrideSyntax { text: String, rule: &'static str },
    /// An override that would change nothing.
    #[error("override `{text}`: {why}")]
    OverrideUnused { text: String, why: String },
}

/// What is wrong with one field, whichever file it came from.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FieldError {
    #[error("{field} is missing: {fix}")]
    Missing { field: String, fix: String },
    /// The value has the wrong type, is out of range, or does not fit the other fields.
    #[error("{field} = {value}: {rule}")]
    Invalid {
        field: String,
        value: String,
        rule: String,
    },
    /// The value means something, but this implementation does not compute it.
    #[error("{field} = {value} is not supported: {why}")]
    Unsupported {
        field: String,
        value: String,
        why: String,
    },
    #[error(
        "{first} = {first_value} contradicts {second} = {second_value}: keep the one that is meant"
    )]
    Contradiction {
        first: String,
        first_value: String,
        second: String,
        second_value: String,
    },
}

impl FieldError {
    pub(crate) fn invalid(field: &str, value: impl ToString, rule: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.to_owned(),
            value: value.to_string(),
            rule: rule.into(),
        }
    }

    pub(crate) fn unsupported(field: &str, value: &Value, why: impl Into<String>) -> Self {
        Self::Unsupported {
            field: field.to_owned(),
            value: shown(value),
            why: why.into(),
        }
    }

    /// The same error with its fields named by `name`, so that a reader finds them in the file.
    pub(crate) fn renamed(mut self, name: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Missing { field, .. }
            | Self::Invalid { field, .. }
            | Self::Unsupported { field, .. } => {
                *field = name(field);
            }
            // A contradiction is found before the dialects are merged: it already has the file's
            // names.
            Self::Contradiction { .. } => {}
        }
        self
    }
}

/// A value as JSON, short enough for one line.
pub(crate) fn shown(value: &Value) -> String {
    one_line(&value.to_string())
}

/// The start of a text, with control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut line = String::new();
    for (i, letter) in text.chars().enumerate() {
        match letter {
            _ if i == LONGEST => return line + "...",
            _ if letter.is_control() => line.extend(letter.escape_default()),
            _ => line.push(letter),
        }
    }
    line
}
