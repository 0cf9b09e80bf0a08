//! `key=value` pairs that a person lays over the file.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value};

use crate::dialect::{Normalised, OLD_ROPE, ROPE};
use crate::error::{ConfigError, one_line};

/// One field to set: `key=value`.
///
/// The key is a field's name in either dialect, dotted to reach into `rope_parameters` or `rope_scaling`
/// (`rope_parameters.rope_type=linear`). The value is read as JSON, and as a string where it is no JSON
/// (`model_type=mistral`). Later overrides win over earlier ones. An override is typed and validated like the file, and
/// one that would change nothing is an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    key: String,
    value: Value,
    text: String,
}

impl Override {
    /// The field that is set, as it was typed.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Why this override is refused.
    pub(crate) fn error(&self, problem: impl ToString) -> ConfigError {
        refused(&self.text, problem)
    }

    /// Lays the value over `file`; the version-5 names of the fields that it sets.
    pub(crate) fn apply(&self, file: &mut Normalised) -> Result<Vec<String>, ConfigError> {
        let object = |key: &str, value| Map::from_iter([(key.to_owned(), value)]);
        let patch = match self.key.split_once('.') {
            None => object(&self.key, self.value.clone()),
            Some((outer @ (ROPE | OLD_ROPE), inner)) if !inner.contains('.') => {
                object(outer, object(inner, self.value.clone()).into())
            }
            Some(_) => {
                let fields = format!("the fields in {ROPE} (or {OLD_ROPE})");
                return Err(self.error(format!("only {fields} can be set by a dotted name")));
            }
        };
        let patch = Normalised::of(patch, file.renamed).map_err(|error| self.error(error))?;
        // A whole object replaces the old one, but θ is no part of version 4's.
        if [ROPE, OLD_ROPE].contains(&self.key.as_str()) {
            file.rope_absent = patch.rope_absent;
        }
        if self.key == ROPE {
            file.rope.clear();
        } else if self.key == OLD_ROPE {
            file.rope.retain(|name, _| name == "rope_theta");
        }
        let nested = patch.rope.keys().map(|name| format!("{ROPE}.{name}"));
        let set = patch.top.keys().cloned().chain(nested).collect();
        file.top.extend(patch.top);
        file.rope.extend(patch.rope);
        Ok(set)
    }
}

fn refused(text: &str, problem: impl ToString) -> ConfigError {
    ConfigError::new(format!("override `{}`", one_line(text)), problem)
}

impl FromStr for Override {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(refused(text, "must be key=value, such as sliding_window=1024"));
        };
        let (key, value) = (key.trim(), value.trim());
        if key.split('.').any(str::is_empty) {
            let problem = "has no field name before the =, such as rope_parameters.factor=2";
            return Err(refused(text, problem));
        }
        Ok(Self {
            text: format!("{key}={value}"),
            key: key.to_owned(),
            value: glass_json::parse(value.as_bytes()).unwrap_or_else(|_| Value::from(value)),
        })
    }
}

/// As it was typed, in one line.
impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.text))
    }
}
