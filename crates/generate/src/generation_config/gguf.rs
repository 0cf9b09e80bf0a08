//! What a GGUF file says of generation: the tokens that end a text, and how to sample.

use glass_gguf::{Gguf, Value as Key};
use glass_text::gguf::end_ids;
use serde_json::{Map, Value, json};

use super::{GenerationConfig, fields};
use crate::Error;

const SAMPLING: &str = "general.sampling.";

/// Keys of sampling, and the fields of `generation_config.json` that say the same.
const FIELDS: [(&str, &str); 5] = [
    ("temp", "temperature"),
    ("top_k", "top_k"),
    ("top_p", "top_p"),
    ("min_p", "min_p"),
    ("penalty_repeat", "repetition_penalty"),
];

impl GenerationConfig {
    /// The generation config of a GGUF file.
    ///
    /// # Errors
    /// A key of the wrong type.
    pub fn from_gguf(file: &Gguf) -> Result<Self, Error> {
        let metadata = file.metadata();
        let origin = metadata.origin().display();
        let mut config = fields::read(&gguf_fields(file)?, &origin.to_string());
        let known = |key: &str| FIELDS.iter().any(|(known, _)| *known == key);
        for (name, value) in metadata.iter() {
            if name.strip_prefix(SAMPLING).is_some_and(|key| !known(key)) {
                config.warnings.push(format!("{origin}: {name} = {value} is not honoured"));
            }
        }
        Ok(config)
    }
}

/// The same as the fields of a `generation_config.json`.
pub(crate) fn gguf_fields(file: &Gguf) -> Result<Map<String, Value>, Error> {
    let metadata = file.metadata();
    let mut config = Map::new();
    for (name, field) in [("bos", "bos_token_id"), ("padding", "pad_token_id")] {
        let id = metadata.u64(&format!("tokenizer.ggml.{name}_token_id"))?;
        config.extend(id.map(|id| (field.to_owned(), json!(id))));
    }
    config.insert("eos_token_id".to_owned(), json!(end_ids(metadata)?));
    for (key, field) in FIELDS {
        let value = match metadata.get(&format!("{SAMPLING}{key}")) {
            None => continue,
            // The shortest decimal that stands for it is the one that was meant.
            Some(Key::F32(number)) => json!(number.to_string().parse::<f64>().unwrap_or(f64::from(*number))),
            Some(Key::F64(number)) => json!(number),
            Some(Key::I32(number)) => json!(number),
            Some(other) => json!(other.as_u64()),
        };
        config.insert(field.to_owned(), value);
    }
    if let Some(temperature) = config.get("temperature").and_then(Value::as_f64) {
        config.insert("do_sample".to_owned(), json!(temperature > 0.0));
    }
    Ok(config)
}
