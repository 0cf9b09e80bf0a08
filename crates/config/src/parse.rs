//! From bytes to a JSON object: everything that can be wrong with a file before it is about a
//! model.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use crate::ConfigError;
use crate::fields::kind;

/// The whole text of `path`.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let shown = path.display().to_string();
    // Asked first because the error for reading a directory differs between operating systems.
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(ConfigError::IsDirectory { path: shown }),
        // A pipe or a device might never end.
        Ok(meta) if !meta.is_file() => {
            return Err(ConfigError::Unreadable {
                path: shown,
                reason: "not a regular file".to_owned(),
            });
        }
        _ => {}
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ConfigError::NotFound { path: shown });
        }
        Err(error) => {
            return Err(ConfigError::Unreadable {
                path: shown,
                reason: error.to_string(),
            });
        }
    };
    String::from_utf8(bytes).map_err(|error| ConfigError::NotUtf8 {
        origin: shown,
        offset: error.utf8_error().valid_up_to(),
    })
}

/// The JSON object in `text`; `origin` names it in errors.
pub(crate) fn parse_object(text: &str, origin: &str) -> Result<Map<String, Value>, ConfigError> {
    // Editors on Windows put a byte order mark in front of UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let origin = origin.to_owned();
    if text.trim().is_empty() {
        return Err(ConfigError::Empty { origin });
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(ConfigError::NotAnObject {
            origin,
            found: kind(&other),
        }),
        Err(error) => Err(ConfigError::Syntax {
            origin,
            reason: error.to_string(),
            // Python writes these words for what JSON has no number for.
            hint: if text.contains("NaN") || text.contains("Infinity") {
                " (NaN and Infinity are not JSON)"
            } else {
                ""
            },
        }),
    }
}
