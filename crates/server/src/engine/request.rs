//! What goes into a service, and what comes out.

use std::time::Duration;

use glass_generate::{Error, FinishReason, GenerateOptions, SamplingError, TokenLogprobs};
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;

/// A prompt to go on with.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The prompt's tokens.
    pub ids: Vec<u32>,
    /// How to go on. More new tokens than the context has room for are cut to that many, and the text ends with
    /// [`FinishReason::Length`]. `prefill` does not count: [`ServiceOptions`](super::ServiceOptions) has its place.
    pub options: GenerateOptions,
    /// Tell how probable each token of the prompt was but the first, and so many of the most probable ones at each place. The
    /// prompt is then read as a whole, whatever is kept of its beginning. Without a new token nothing is read.
    pub prompt_logprobs: Option<usize>,
    /// Texts from this prompt, at least one. The text of number `i` has the seed `options.sampling.seed + i`, so that each can
    /// be asked for alone.
    pub n: usize,
}

/// What happens to a request, in this order: once `Started`; `Token`s of its texts, and `Finished` of each. `Failed` may come
/// at any time, and is the last.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The prompt is being read, but for its first `cached_tokens`, whose keys and values were there.
    Started { cached_tokens: usize },
    /// More of what [`Request::prompt_logprobs`] asked for, in the order of the prompt; all of it comes before the first token.
    Prompt(Vec<TokenLogprobs>),
    /// A token of the text number `choice`.
    Token {
        choice: usize,
        /// `None` at an end without a token ([`FinishReason::NoToken`]).
        id: Option<u32>,
        /// Text that is final now: never half a character, never part of a stop string, perhaps nothing.
        text: String,
        /// If [`GenerateOptions::logprobs`] asked for them.
        logprobs: Option<TokenLogprobs>,
    },
    /// The text number `choice` is over.
    Finished { choice: usize, reason: FinishReason, usage: Usage, timings: Timings },
    /// No more comes, and this is why, in one line.
    Failed {
        reason: String,
        /// What it asks for leads nowhere: asked again, it would fail again.
        of_request: bool,
    },
}

impl Event {
    pub(super) fn failed(error: &Error) -> Self {
        let of_request = matches!(
            error,
            Error::Constraint(_) | Error::Sampling(SamplingError::NothingLeft | SamplingError::Overflow { .. })
        );
        Self::Failed { reason: error.to_string(), of_request }
    }
}

/// Tokens of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: usize,
    /// Those of the prompt whose keys and values were there.
    pub cached_tokens: usize,
    /// New ones, an end-of-sequence token included.
    pub completion_tokens: usize,
}

/// Where a text's time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the request until its prompt's turn came.
    pub queued: Duration,
    /// From there to the prompt's logits, the passes for others included.
    pub prompt: Duration,
    /// From there to the last token.
    pub decode: Duration,
}

/// Why a request was not taken.
#[derive(Debug, Error)]
pub enum Refused {
    #[error("{waiting} requests are waiting already: try again in {} s", retry_after.as_secs().max(1))]
    QueueFull { waiting: usize, retry_after: Duration },
    #[error("the prompt has {tokens} tokens, and the context is {context}: shorten it by {}", tokens - context)]
    TooLong { tokens: usize, context: usize },
    #[error(
        "keys and values of the prompt and of so many new tokens may come to {bytes} bytes, and there is room for {memory}: ask \
         for fewer tokens or fewer texts"
    )]
    TooLarge { bytes: u64, memory: u64 },
    #[error("{n} texts of one prompt: from 1 to {parallel} can be written at once")]
    Choices { n: usize, parallel: usize },
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Bad(#[from] Error),
}

/// A request that was taken. Dropped, it gives its place back before the next step.
#[derive(Debug)]
pub struct Ticket {
    pub(super) events: UnboundedReceiver<Event>,
}

impl Ticket {
    /// The next event; `None` behind the last.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// [`next`](Self::next) outside of a runtime: waits.
    pub fn wait_next(&mut self) -> Option<Event> {
        self.events.blocking_recv()
    }
}
