use std::path::PathBuf;

use glass_backend::{DeviceError, WeightError};
use glass_checkpoint::{CheckpointError, ConvertError, Precision};
use glass_config::ConfigError;
use glass_gguf::GgufError;
use glass_kv_cache::{CacheError, CachePolicyError};
use glass_text::{ChatTemplateError, TokenizerError};
use thiserror::Error;

use crate::{BeamError, ConstraintError, ExhaustiveError, GenerationConfigError, SamplingError, StopError};

/// Anything that keeps a model from running. Each is one line: what, where, and what would fix it.
#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Weight(#[from] WeightError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    GenerationConfig(#[from] GenerationConfigError),
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    #[error(transparent)]
    Stop(#[from] StopError),
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    #[error(transparent)]
    Beam(#[from] BeamError),
    #[error(transparent)]
    Exhaustive(#[from] ExhaustiveError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    CachePolicy(#[from] CachePolicyError),
    #[error(transparent)]
    ChatTemplate(#[from] ChatTemplateError),
    #[error(
        "the prompt has {tokens} tokens, {over} more than the {context} of the model's context: shorten it by {over}{advice}"
    )]
    PromptTooLong {
        tokens: usize,
        context: usize,
        over: usize,
        /// What else would help, if anything would.
        advice: &'static str,
    },
    #[error("the prompt has no tokens: give some text, or ids")]
    EmptyPrompt,
    /// `place` says where it stands, for people.
    #[error("token id {id} ({place}) is not below the vocabulary size {vocab_size}")]
    IdOutOfRange { id: u32, place: String, vocab_size: usize },
    #[error(transparent)]
    Convert(Box<ConvertError>),
    #[error("{}: the model has no tokenizer: add tokenizer.json to its folder, or give token ids with --ids", folder.display())]
    NoTokenizer { folder: PathBuf },
    #[error("{}: its matrices are in {stored}: --dtype {asked} is for floats; use f32, f16 or bf16, or leave it out", path.display())]
    OtherBlocks { path: PathBuf, stored: Precision, asked: Precision },
    #[error("{}: --dtype {asked} is for GGUF files of that type; write one with `glass quantize`", folder.display())]
    NotInBlocks { folder: PathBuf, asked: Precision },
}
