//! A model that runs: loaded from a folder, it continues texts, one token after the other, each step a forward pass over one
//! new position.
//!
//! Reading order: [`Llama`] (what was loaded) · [`Llama::generate`] (the loop) · `passes` (what it asks of the model) ·
//! [`sampling`] (how the next token is chosen) · [`stop`] (when it is over) · [`generation_config`] (what the model's makers
//! want) · [`logprobs`] (how probable it was) · [`prompt_lookup`] (several tokens from one pass) ·
//! [`Llama::generate_batch`] (many texts at once) · [`Llama::beam_search`] and [`Llama::exhaustive_search`] (the most
//! probable texts, looked for) · [`Llama::generate_json`] (a text that keeps to a schema) · [`Conversation`] (turn after
//! turn, with one cache).

mod batch;
mod beam;
mod constraint;
mod conversation;
mod error;
mod exhaustive;
mod generate;
mod hypothesis;
mod llama;
mod on_device;
mod passes;
mod rows;

pub mod generation_config;
pub mod logprobs;
pub mod prompt_lookup;
pub mod sampling;
pub mod stop;

pub use batch::BatchRow;
pub use beam::{BeamError, BeamOptions, EarlyStopping, Found};
pub use constraint::{Constraint, ConstraintError, JsonSchema};
pub use conversation::{Conversation, Fitted, Reply, Restart};
pub use error::Error;
pub use exhaustive::{ExhaustiveError, ExhaustiveOptions, MOST_SEQUENCES};
pub use generate::{GenerateOptions, Generated, Progress};
pub use generation_config::{GenerationConfig, GenerationConfigError};
pub use hypothesis::{Hypothesis, score};
pub use llama::{Llama, LoadOptions, Memory};
pub use logprobs::TokenLogprobs;
pub use prompt_lookup::Speculation;
pub use rows::Advance;
pub use sampling::{Sampler, SamplingConfig, SamplingError, SequenceBias, log_softmax_at};
pub use stop::{FinishReason, StopError, StopRule};
