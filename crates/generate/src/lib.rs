//! Texts from a model: one forward pass for the next tokens of any mix of them.
//!
//! Reading order: [`ModelFiles`] (a folder or a GGUF file) · [`Llama`] (what was loaded) · [`Sequence`] (one text: logits in, tokens out; no device) · [`Lane`] (a text as
//! the model sees it) · [`step()`] (one pass) · [`StepOutput`] (what is read back of it) · [`Engine`] (sequences that join and
//! leave between steps) · [`Passes`] (which of them share a pass) · [`generate()`] and [`generate_batch`] (loops over it) · [`sampling`] (how the next token is chosen) ·
//! [`stop`] (when it is over) · [`generation_config`] (what the model's makers want) · [`logprobs`] (how probable it was) ·
//! [`prompt_lookup`] and [`DraftModel`] (several tokens from one pass) · [`Constraint`] (a text that keeps to a schema) · [`beam_search`] and
//! [`exhaustive_search`] (the most probable texts) · [`Conversation`] (turn after turn, with one cache).

mod beam;
mod chosen;
mod constraint;
mod conversation;
mod draft_model;
mod engine;
mod error;
mod exhaustive;
mod generate;
mod hypothesis;
mod lane;
mod llama;
mod model_files;
mod pace;
mod passes;
mod run;
mod sequence;
mod step;
mod step_output;
mod unpack;

pub mod generation_config;
pub mod logprobs;
pub mod prompt_lookup;
pub mod sampling;
pub mod stop;

pub use beam::{BeamError, BeamOptions, EarlyStopping, beam_search};
pub use chosen::{Choice, Chosen};
pub use constraint::{Constraint, ConstraintError, JsonSchema, MarkedSchema};
pub use conversation::{Conversation, Fitted, Reply, Restart};
pub use draft_model::DraftModel;
pub use engine::{Engine, SequenceId, Working};
pub use error::Error;
pub use exhaustive::{ExhaustiveError, ExhaustiveOptions, MOST_SEQUENCES, exhaustive_search};
pub use generate::{
    Batch, BatchEnd, BatchRow, GenerateOptions, Generated, Progress, generate, generate_batch, generate_from,
    generate_with_draft,
};
pub use generation_config::{GenerationConfig, GenerationConfigError};
pub use hypothesis::{BeamOutput, Hypothesis, score};
pub use lane::{Lane, PrefillOptions};
pub use llama::{Llama, LoadOptions, ModelBytes};
pub use logprobs::TokenLogprobs;
pub use model_files::{ModelFiles, StoredWeights};
pub use passes::Passes;
pub use prompt_lookup::Speculation;
pub use sampling::{Sampler, SamplingConfig, SamplingError, SequenceBias, log_softmax_at};
pub use sequence::{Event, Sequence};
pub use step::{read_whole, step, step_observed};
pub use step_output::{Logits, Next, StepOutput};
pub use stop::{FinishReason, StopError, StopRule};
pub use unpack::unpack;
