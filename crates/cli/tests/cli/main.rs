//! The command as a user runs it: arguments in; exit code, standard output and standard error out.

mod batch;
mod bench;
#[cfg(target_os = "linux")]
mod bench_end;
mod broken_checkpoint;
mod chat;
mod chat_commands;
#[cfg(unix)]
mod chat_terminal;
mod common_options;
mod config;
mod convert;
mod devices;
mod docs;
mod draft;
mod folders;
mod generate;
mod gguf;
mod help;
mod hub;
mod info;
#[cfg(unix)]
mod interrupt;
mod json_schema;
mod keep;
mod logits;
mod logits_input;
mod logprobs;
mod memory;
mod models;
mod needle;
mod needle_input;
mod outputs;
mod perplexity;
mod prompt;
mod quantize;
mod recurrent;
mod run;
mod sampling;
mod search;
#[cfg(unix)]
mod serve;
mod shipped;
mod stop;
#[allow(dead_code, reason = "the tests of the pictures need more of it")]
#[path = "../../../plot/tests/pictures/svg.rs"]
mod svg;
#[cfg(unix)]
mod terminal;
mod tokenize;
mod train;
mod train_input;
#[cfg(unix)]
mod train_resume;
#[cfg(unix)]
mod train_unwritable;
mod usage;
mod wrapping;
