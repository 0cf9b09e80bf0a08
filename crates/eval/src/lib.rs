//! Measures of a model: how well it predicts a text, and what it still finds in a long one.
//!
//! Reading order: [`Windows`] (which token is predicted from which) · [`token_nlls`] (how
//! well each was predicted) · [`Perplexity`] and [`by_position`] (the figures that are made of it). Then [`Task`] and
//! [`Haystack`] (what is hidden and asked for) · [`FillerTokens`] (what of) · [`NeedleTest`] (all of them) and
//! [`NeedleScore`] (what was found). Last [`WordTest`] (the same in words, for chat models).

mod by_position;
mod filler_tokens;
mod haystack;
mod needle;
mod nll;
mod perplexity;
mod read;
mod task;
mod windows;
mod words;

use std::num::NonZeroUsize;

use thiserror::Error;

pub use by_position::{Bucket, by_position, merged};
pub use filler_tokens::FillerTokens;
pub use haystack::Haystack;
pub use needle::{Guess, NeedleProgress, NeedleScore, NeedleTest};
pub use nll::{Scored, token_nlls};
pub use perplexity::Perplexity;
pub use task::{HaystackError, Task};
pub use windows::{Segment, Windows};
pub use words::{Fact, SENTENCES, WordTest};

/// Why a text cannot be scored, or no haystack be searched. Each message is one line.
#[derive(Debug, Error)]
pub enum EvalError {
    #[error("a stride of {stride} would leave out tokens between windows of {window}: make it {window} or less")]
    Stride { stride: NonZeroUsize, window: NonZeroUsize },
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
    /// Boxed, because it is many times the size of what functions return when all is well.
    #[error(transparent)]
    Model(Box<glass_generate::Error>),
}

/// Errors of the crates below go through the one that gathers them.
macro_rules! from_below {
    ($($error:ty),*) => {$(
        impl From<$error> for EvalError {
            fn from(error: $error) -> Self {
                Self::Model(Box::new(error.into()))
            }
        }
    )*};
}

from_below!(
    glass_kv_cache::CacheError,
    glass_kv_cache::CachePolicyError,
    glass_backend::DeviceError,
    glass_generate::Error,
    glass_generate::SamplingError,
    glass_text::ChatTemplateError,
    glass_text::TokenizerError
);
