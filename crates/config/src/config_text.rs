//! A `config.json` carried over to another folder, with no change but that of the weights' type.

use std::path::Path;

use serde_json::Value;

use crate::normalise::ROPE;
use crate::parse::{parse_object, read_text};
use crate::{ConfigError, Dtype};

/// The text of the file at `path`, whatever family it is of. With `dtype`, the field that names the weights' type says
/// that, under the name that the file has for it, and all other fields keep their values and their order.
///
/// # Errors
/// The file cannot be read, or is not a JSON object.
pub fn config_text(path: &Path, dtype: Option<Dtype>) -> Result<String, ConfigError> {
    let text = read_text(path)?;
    let mut fields = parse_object(&text, &path.display().to_string())?;
    let Some(dtype) = dtype else {
        return Ok(text);
    };
    let mut found = false;
    for name in ["dtype", "torch_dtype"] {
        if let Some(value) = fields.get_mut(name) {
            *value = Value::String(dtype.to_string());
            found = true;
        }
    }
    if !found {
        // Both versions of transformers understand the older name.
        let name = match fields.contains_key(ROPE) {
            true => "dtype",
            false => "torch_dtype",
        };
        fields.insert(name.to_owned(), Value::String(dtype.to_string()));
    }
    Ok(format!("{:#}\n", Value::Object(fields)))
}
