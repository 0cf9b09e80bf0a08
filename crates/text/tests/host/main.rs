//! Tokenizers and chat templates: small ones, those of real models, and those of GGUF files.

mod chat;
mod gguf;
mod tokenizer;
mod tokenizer_cases;
