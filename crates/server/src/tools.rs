//! Functions that a model may call: what a request says of them, how the model's family writes a call, and how calls are read
//! out of an answer as it grows.
//!
//! Reading order: [`Tool`] and [`ToolChoice`] (what the request says) · [`Syntax`] (what a chat template shows of how the
//! model writes calls) · [`JsonCall`] (one call, read as it grows) · [`Reader`] (text and calls of an answer) · [`Forced`] (a
//! call that must come, as a JSON schema) · [`marked`] (calls of strict functions, wherever they come).

mod definition;
mod forced;
mod json_call;
mod reader;
mod strict;
mod syntax;
mod values;

pub use definition::{Dialect, Tool, ToolChoice, read_tools};
pub use forced::Forced;
pub use json_call::JsonCall;
pub use reader::Reader;
pub(crate) use reader::kept;
pub use strict::marked;
pub use syntax::{Body, Syntax};

/// What an answer is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the model thinks before it answers.
    Reasoning(String),
    Text(String),
    /// A call begins.
    Call {
        name: String,
    },
    /// More of the arguments of the call that began last, as JSON.
    Arguments(String),
}
