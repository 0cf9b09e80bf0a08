//! `key=value` pairs that a person lays over the file.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::ConfigError;
use crate::error::one_line;
use crate::normalise::{Normalised, ROPE, modern_name, rope_object};

/// One field to set: `key=value`.
///
/// The key is a field's name in either dialect, dotted to reach into `rope_parameters` or
/// `rope_scaling` (`rope_parameters.rope_type=linear`). The value is read as JSON, and as a string
/// where it is no JSON (`model_type=mistral`). Later overrides win over earlier ones. An override
/// is typed and validated like the file, and one that would change nothing is an error.
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
}

impl FromStr for Override {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse = |rule| ConfigError::OverrideSyntax {
            text: one_line(text),
            rule,
        };
        let Some((key, value)) = text.split_once('=') else {
            return Err(refuse("must be key=value, such as sliding_window=1024"));
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(refuse(
                "has no field name before the =, such as rope_parameters.factor=2",
            ));
        }
        Ok(Self {
            text: format!("{key}={value}"),
            key: key.to_owned(),
            value: serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
        })
    }
}

/// As it was typed, in one line.
impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.text))
    }
}

/// The version-5 paths of the fields that one override has set.
pub(crate) struct Applied<'a> {
    pub source: &'a Override,
    pub paths: Vec<String>,
}

/// Lays the overrides over the file, in order.
pub(crate) fn apply<'a>(
    overrides: &'a [Override],
    config: &mut Normalised,
) -> Result<Vec<Applied<'a>>, ConfigError> {
    let mut applied = Vec::with_capacity(overrides.len());
    for source in overrides {
        let paths = apply_one(source, config).map_err(|why| ConfigError::OverrideUnused {
            text: source.to_string(),
            why,
        })?;
        applied.push(Applied { source, paths });
    }
    Ok(applied)
}

/// The paths that are set, or why none can be.
fn apply_one(source: &Override, config: &mut Normalised) -> Result<Vec<String>, String> {
    let path = modern_name(&source.key);
    let value = source.value.clone();
    match path.split_once('.') {
        None if path == ROPE => {
            let object = rope_object(&source.key, value).map_err(|error| error.to_string())?;
            let keep_theta = source.key == "rope_scaling";
            Ok(replace_rope(config, object.unwrap_or_default(), keep_theta))
        }
        None => {
            config.top.insert(path.clone(), value);
            Ok(vec![path])
        }
        Some((ROPE, inner)) if !inner.contains('.') => {
            config.rope.insert(inner.to_owned(), value);
            Ok(vec![path])
        }
        Some(_) => Err(
            "only the fields in rope_parameters (or rope_scaling) can be set by a dotted name"
                .to_owned(),
        ),
    }
}

/// Replaces all of `rope_parameters`. Under version 4's name θ stays, for there it is a field of
/// its own.
fn replace_rope(
    config: &mut Normalised,
    mut object: Map<String, Value>,
    keep_theta: bool,
) -> Vec<String> {
    let mut paths: Vec<String> = object.keys().map(|name| format!("{ROPE}.{name}")).collect();
    if keep_theta
        && !object.contains_key("rope_theta")
        && let Some(theta) = config.rope.get("rope_theta")
    {
        object.insert("rope_theta".to_owned(), theta.clone());
    }
    if paths.is_empty() {
        paths.push(format!("{ROPE}.rope_type"));
    }
    config.rope = object;
    paths
}
