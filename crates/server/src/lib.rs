//! Many texts at once, for programs that speak OpenAI's API.
//!
//! Reading order: [`engine`] (requests in, tokens out; no HTTP).

pub mod engine;
