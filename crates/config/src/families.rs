//! The families: what each model type takes for granted without the file saying so.
//!
//! A family is one file: its defaults, and a function from JSON to layers. No layer asks for the family.

mod family;
mod llama;
mod mistral;
mod qwen2;

use crate::values::words;
pub(crate) use family::{Family, Plain};

/// Hugging Face's `model_type`: whose rules fill in what the file leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelType {
    Llama,
    Mistral,
    Qwen2,
}

words! {
    ModelType: ModelType::RULE,
    Llama = "llama", Mistral = "mistral", Qwen2 = "qwen2"
}

impl ModelType {
    pub(crate) const RULE: &str = "must be one of llama, mistral, qwen2";

    pub(crate) fn family(self) -> &'static Family {
        match self {
            Self::Llama => &llama::FAMILY,
            Self::Mistral => &mistral::FAMILY,
            Self::Qwen2 => &qwen2::FAMILY,
        }
    }
}
