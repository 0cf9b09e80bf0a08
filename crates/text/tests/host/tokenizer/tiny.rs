//! Small tokenizers, loaded.

use glass_text::Tokenizer;
use serde_json::Value;

pub use glass_testing::tokenizers::{byte_fallback, byte_level, char_level, metaspace};

pub fn load(json: &Value) -> Tokenizer {
    Tokenizer::from_json(json.to_string().as_bytes(), "tiny/tokenizer.json").unwrap()
}

pub fn all() -> Vec<(&'static str, Tokenizer)> {
    vec![
        ("byte-level", load(&byte_level())),
        ("byte-fallback", load(&byte_fallback(true))),
        ("metaspace", load(&metaspace())),
        ("char-level", load(&char_level("héllo, wörld \n"))),
    ]
}
