//! What comes out of a `config.json`, and what a wrong one is told.

mod bad_family;
mod bad_fields;
mod bad_files;
mod bad_rope;
mod bad_switches;
mod common;
mod config_text;
mod dual_chunk;
mod every_field;
mod families;
mod fixtures;
mod frequencies;
mod gguf;
mod idle_fields;
mod mixers;
mod names;
mod overrides;
mod quantization;
mod recurrent;
mod rope;
mod round_trip;
mod unread;
mod whole_files;
