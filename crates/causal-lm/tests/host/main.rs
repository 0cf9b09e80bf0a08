//! Everything that needs no device, in one process.

mod chat;
mod checkpoint_convert;
mod checkpoint_files;
mod checkpoint_saving;
mod convert;
mod generate;
mod haystack;
mod hub;
mod tokenizer;
mod tokenizer_cases;
