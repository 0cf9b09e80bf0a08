//! Tokenizers and chat templates, small ones and real ones.

mod chat;
mod tokenizer;
mod tokenizer_cases;
