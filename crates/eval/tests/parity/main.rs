//! The model against `transformers`, and against itself, on every backend.
//!
//! One process for all of it: a software Vulkan compiles each kernel for seconds, once per process.

mod batch;
mod conversation;
mod engine;
mod families;
mod fixture;
mod from_bytes;
mod gguf;
mod haystack;
mod perplexity;
mod precision;
mod prompt_lookup;
mod properties;
mod quantized;
mod random_model;
mod reference;
mod reread;
mod rules;
mod search;
mod several_devices;
mod splitting;
