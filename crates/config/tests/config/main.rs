//! What comes out of a `config.json`, and what a wrong one is told.

mod bad_family;
mod bad_fields;
mod bad_files;
mod bad_rope;
mod common;
mod config_text;
mod families;
mod frequencies;
mod idle_fields;
mod overrides;
mod quantization;
mod rope;
mod round_trip;
mod whole_files;
