//! Many texts at once over HTTP, for programs that speak OpenAI's API or Anthropic's.
//!
//! Reading order: [`engine`] (requests in, tokens out; no HTTP) · [`api`] (what requests mean, and how answers are said) ·
//! [`tools`] (functions that a model may call) · [`reasoning`] (what it thinks before it answers) · [`trace`] (a look into the model) · [`http`] (connections, and who may come in).

pub mod api;
pub mod engine;
pub mod http;
pub mod reasoning;
pub mod tools;
pub mod trace;

pub use api::{Identity, Served};
pub use http::{KeyError, Keys, Limits, ListenError, Server, Trust};
