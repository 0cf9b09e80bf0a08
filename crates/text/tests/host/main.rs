//! Tokenizers and chat templates: small ones, and those of real models.

mod chat;
mod tokenizer;
mod tokenizer_cases;
