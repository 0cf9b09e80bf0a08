//! The model against `transformers`, and against itself, on every backend.
//!
//! One process for all of it: a software Vulkan compiles each kernel for seconds, once per process.

mod batch;
mod beams;
mod conversation;
mod engine;
mod exhaustive;
mod families;
mod fixture;
mod from_bytes;
mod gguf;
mod haystack;
mod lanes;
mod long_forks;
mod perplexity;
mod precision;
mod prompt_lookup;
mod properties;
mod quantized;
mod quantized_layouts;
mod quantized_refused;
mod random_model;
mod reference;
mod reread;
mod rules;
mod search;
mod several_devices;
mod splitting;
mod turns;
