//! The command as a user runs it: arguments in; exit code, standard output and standard error out.

mod broken_checkpoint;
mod config;
mod convert;
mod devices;
mod generate;
mod hub;
mod info;
#[cfg(unix)]
mod interrupt;
mod logits;
mod logits_input;
mod memory;
mod models;
mod perplexity;
mod prompt;
mod run;
mod shipped;
mod stop;
mod train;
mod train_input;
#[cfg(unix)]
mod train_resume;
mod usage;
