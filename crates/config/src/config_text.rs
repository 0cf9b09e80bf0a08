//! A `config.json` carried over to another folder, with no change but in how the weights are stored.

use std::path::Path;

use serde_json::{Map, Value};

use crate::normalise::ROPE;
use crate::parse::{parse_object, read_text};
use crate::{ConfigError, Dtype, QuantizationConfig};

/// How weights are stored in the new folder.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// As they were.
    Same,
    /// All in one type.
    As(Dtype),
    /// Matrices in few bits.
    Quantized(&'a QuantizationConfig),
}

/// The text of the file at `path`, whatever family it is of. The fields that say how the weights are stored say what
/// `stored` does, under the names that the file has for them, and all other fields keep their values and their order.
///
/// # Errors
/// The file cannot be read, or is not a JSON object.
pub fn config_text(path: &Path, stored: Stored<'_>) -> Result<String, ConfigError> {
    let text = read_text(path)?;
    let mut fields = parse_object(&text, &path.display().to_string())?;
    match stored {
        Stored::Same => return Ok(text),
        Stored::As(dtype) => set_dtype(&mut fields, dtype),
        Stored::Quantized(config) => {
            fields.insert("quantization_config".to_owned(), config.to_json());
        }
    }
    Ok(format!("{:#}\n", Value::Object(fields)))
}

fn set_dtype(fields: &mut Map<String, Value>, dtype: Dtype) {
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
}
