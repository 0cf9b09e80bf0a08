//! The model against `transformers`, and against itself, on every backend.
//!
//! One process for all of it: a software Vulkan compiles each kernel for seconds, once per process.

mod conversation;
mod devices;
mod fixture;
mod perplexity;
mod precision;
mod properties;
mod random_model;
mod reference;
mod splitting;
