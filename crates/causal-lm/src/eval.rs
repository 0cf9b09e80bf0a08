//! Measures of a model: how well it predicts a text, and what it still finds in a long one.
//!
//! Reading order: [`Windows`] (which token is predicted from which) · [`Llama::token_nlls`](crate::Llama::token_nlls)
//! (how well each was predicted) · [`Perplexity`] and [`by_position`] (the figures that are made of it). Then [`Task`] and
//! [`Haystack`] (what is hidden and asked for) · [`Straw`] (what of) · [`Llama::search`](crate::Llama::search) and
//! [`Cell`] (what was found).

mod by_position;
mod haystack;
mod needle;
mod nll;
mod perplexity;
mod pieces;
mod straw;
mod task;
mod windows;

use std::num::NonZeroUsize;

use thiserror::Error;

pub use by_position::{Bucket, by_position};
pub use haystack::Haystack;
pub use needle::{Cell, Guess, Search, Searched};
pub use nll::Scored;
pub use perplexity::Perplexity;
pub use straw::Straw;
pub use task::{HaystackError, Task};
pub use windows::{Segment, Windows};

/// Why a text cannot be scored, or no haystack be searched. Each message is one line.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EvalError {
    #[error(
        "a stride of {stride} would leave out tokens between windows of {window}: make it {window} or less"
    )]
    Stride {
        stride: NonZeroUsize,
        window: NonZeroUsize,
    },
    #[error(
        "the text has {tokens} token{}: two or more are needed, because the first has nothing to be predicted from",
        if *.tokens == 1 { "" } else { "s" }
    )]
    TooShort { tokens: usize },
    /// `number` counts from 1.
    #[error(
        "token {number} of the text has a negative log-likelihood of {value}: the weights are damaged, or the numbers \
         left the range of the dtype (try f32)"
    )]
    NotFinite { number: usize, value: f64 },
    #[error(transparent)]
    Haystack(#[from] HaystackError),
}
