//! From a path to a JSON object: everything that can be wrong with a file before it is about a model. And back:
//! the same file for another folder.

use std::{fs, io::ErrorKind, path::Path};

use serde_json::{Map, Value};

use crate::error::{ConfigError, shown};
use crate::quantization::QuantizationConfig;
use crate::values::Dtype;

/// The whole text of `path`.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    let problem = match fs::metadata(path) {
        // Asked first because the error for reading a directory differs between operating systems.
        Ok(meta) if meta.is_dir() => "is a directory; give the path of the config.json in it".to_owned(),
        // A pipe or a device might never end.
        Ok(meta) if !meta.is_file() => "is not a regular file; give a config.json".to_owned(),
        _ => match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => return Ok(text),
            Ok(Err(error)) => format!(
                "is not text (byte {} is not UTF-8); a config.json is JSON, so this may be another file or a damaged \
                 download",
                error.utf8_error().valid_up_to()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                "there is no such file; give the path of a model's config.json".to_owned()
            }
            Err(error) => format!("cannot be read ({error}); check the path and its permissions"),
        },
    };
    Err(ConfigError::new(path.display().to_string(), problem))
}

/// The JSON object in `text`; `origin` names it in errors.
pub(crate) fn parse_object(text: &str, origin: &str) -> Result<Map<String, Value>, ConfigError> {
    let problem = match glass_json::parse(text.as_bytes()) {
        Ok(Value::Object(object)) => return Ok(object),
        Ok(other) => {
            format!("holds {} where a JSON object {{...}} is expected; is this a model's config.json?", shown(&other))
        }
        Err(_) if text.trim_matches('\u{feff}').trim().is_empty() => {
            "is empty; download the model's config.json again".to_owned()
        }
        Err(error) => format!("is not valid JSON: {error}; correct the file there or download it again"),
    };
    Err(ConfigError::new(origin, problem))
}

/// How the weights are stored in the new folder.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// As they were.
    Same,
    /// All in one type.
    As(Dtype),
    /// Quantized matrices.
    Quantized(&'a QuantizationConfig),
}

/// The text of the file at `path`, of any family, for a folder whose weights are `stored` so.
///
/// Fields that describe the storage are set under the names that the file has for them, and `untied` says that the head
/// is not the embedding, whatever the file says; all others keep their values and their order.
///
/// # Errors
/// The file cannot be read, or is not a JSON object.
pub fn config_text(path: &Path, stored: Stored<'_>, untied: bool) -> Result<String, ConfigError> {
    let text = read_text(path)?;
    let mut fields = parse_object(&text, &path.display().to_string())?;
    match stored {
        Stored::Same if !untied => return Ok(text),
        Stored::Same => {}
        Stored::As(dtype) => {
            let mut names = vec!["dtype", "torch_dtype"];
            names.retain(|name| fields.contains_key(*name));
            if names.is_empty() {
                // Both versions of transformers understand the older name.
                let new = fields.contains_key("rope_parameters");
                names.push(if new { "dtype" } else { "torch_dtype" });
            }
            for name in names {
                fields.insert(name.to_owned(), dtype.to_string().into());
            }
        }
        Stored::Quantized(config) => {
            fields.insert("quantization_config".to_owned(), config.to_json());
        }
    }
    if untied {
        fields.insert("tie_word_embeddings".to_owned(), false.into());
    }
    Ok(glass_json::file_text(&Value::Object(fields)))
}
