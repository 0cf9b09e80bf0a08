//! Tokenizers and chat templates of GGUF files.

mod chat;
mod damage;
mod real;
mod reference;
mod written;

use glass_gguf::{Array, Metadata, Strings, Value};
use glass_text::Tokenizer;
use serde_json::Value as Json;

/// Keys from JSON: lists of texts, of whole numbers, of numbers.
pub fn metadata(keys: &Json) -> Metadata {
    let mut metadata = Metadata::new("model.gguf");
    for (key, value) in keys.as_object().expect("keys") {
        metadata.insert(key, self::value(value));
    }
    metadata
}

pub fn value(json: &Json) -> Value {
    match json {
        Json::Bool(set) => Value::Bool(*set),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match number.as_u64() {
            Some(id) => Value::U32(id as u32),
            None => Value::F32(number.as_f64().expect("a number") as f32),
        },
        Json::Array(all) if all.iter().all(Json::is_string) => {
            Value::Array(Array::String(all.iter().map(|text| text.as_str().expect("a text")).collect::<Strings>()))
        }
        Json::Array(all) if all.iter().all(Json::is_u64) => {
            all.iter().map(|number| number.as_u64().expect("a number") as i32).collect::<Vec<_>>().into()
        }
        Json::Array(all) => {
            all.iter().map(|number| number.as_f64().expect("a number") as f32).collect::<Vec<_>>().into()
        }
        other => panic!("{other}"),
    }
}

pub fn load(metadata: &Metadata) -> Tokenizer {
    Tokenizer::from_gguf(metadata).expect("a sound file").expect("a tokenizer")
}

pub fn cases() -> Vec<Json> {
    serde_json::from_str(include_str!("cases.json")).expect("JSON")
}

pub fn ids(value: &Json) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

/// The two give the same ids for this text, and the same texts for these.
pub fn agree(a: &Tokenizer, b: &Tokenizer, text: &str) -> bool {
    let all = |tokenizer: &Tokenizer| {
        let (plain, around) = (tokenizer.encode(text, false).expect("ids"), tokenizer.encode(text, true).expect("ids"));
        let decoded = [true, false].map(|skip| tokenizer.decode(&around, skip).expect("a text"));
        (plain, around, decoded)
    };
    all(a) == all(b)
}
