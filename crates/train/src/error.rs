use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use glass_checkpoint::SaveError;
use glass_plot::PlotError;
use thiserror::Error;

use crate::{metrics::MetricsError, tokenizer::TokenizerChoiceError};

/// Why a model cannot be trained. Each message is one line.
#[derive(Debug, Error)]
pub enum TrainError {
    #[error("--{field} {reason}")]
    Recipe { field: &'static str, reason: String },
    #[error("there is no preset {name}: use one of {known}, or --config with a config.json")]
    Preset { name: String, known: String },
    #[error("{}: {reason}", path.display())]
    Text { path: PathBuf, reason: String },
    #[error(
        "the text has {tokens} tokens to {part}, and {needed} are needed: give a longer text, or a smaller --context"
    )]
    TooShort { part: &'static str, tokens: usize, needed: usize },
    #[error(
        "the tokenizer has {tokenizer} tokens, but vocab_size of the config is {config}: set it to {tokenizer} or more"
    )]
    Vocabulary { tokenizer: usize, config: usize },
    #[error(
        "step {step}: loss or gradients are NaN or infinite (loss {loss}, gradient norm {gradient_norm}); the last \
         checkpoint is kept; try a lower --learning-rate, more --warmup-steps, or a lower --clip"
    )]
    NotFinite { step: usize, loss: f64, gradient_norm: f64 },
    #[error(
        "step {step}: the loss on the held-out text is {loss}; the last checkpoint is kept; try a lower --learning-rate, \
         more --warmup-steps, or a lower --clip"
    )]
    HeldOutNotFinite { step: usize, loss: f64 },
    #[error(
        "step {step}: the loss diverges (mean of the last steps {now:.3}, it was {best:.3}); the last checkpoint is kept; \
         try a lower --learning-rate, more --warmup-steps, or a lower --clip"
    )]
    Diverged { step: usize, now: f64, best: f64 },
    #[error("{}: {reason}", path.display())]
    Resume { path: PathBuf, reason: String },
    #[error("{error} (or remove {}: the run then goes on from {})", damaged.display(), before.display())]
    Damaged { error: Box<TrainError>, damaged: PathBuf, before: PathBuf },
    #[error(
        "{}: its matrices are quantized, and cannot be moved a little: give the model that it was made from", path.display()
    )]
    Quantized { path: PathBuf },
    #[error("{}: the run would write over it: give another --output", .0.display())]
    IsInput(PathBuf),
    #[error("{}: cannot be written ({source})", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: the disk is full ({source}): free some space", path.display())]
    Full { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Save(SaveError),
    #[error(transparent)]
    Eval(#[from] glass_eval::EvalError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerChoiceError),
    #[error(transparent)]
    Metrics(MetricsError),
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// Boxed, because it is far larger than the results that functions return.
    #[error(transparent)]
    Model(Box<glass_generate::Error>),
}

impl TrainError {
    /// Adds to an I/O error the path that could not be written.
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path, source },
            _ => Self::Write { path, source },
        }
    }

    /// Whether something could not be written: once that is mended, the run can go on.
    pub fn is_of_writing(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Full { .. } | Self::Save(_) | Self::Metrics(MetricsError::Io { .. }))
    }
}

impl From<SaveError> for TrainError {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Full { file, source } => Self::Full { path: file, source },
            error => Self::Save(error),
        }
    }
}

impl From<MetricsError> for TrainError {
    fn from(error: MetricsError) -> Self {
        match error {
            MetricsError::Io { path, source, .. } if source.kind() == ErrorKind::StorageFull => {
                Self::Full { path, source }
            }
            error => Self::Metrics(error),
        }
    }
}

impl From<glass_generate::Error> for TrainError {
    fn from(error: glass_generate::Error) -> Self {
        TrainError::Model(Box::new(error))
    }
}

/// Errors of the crates below, through the error that unites them.
macro_rules! from_below {
    ($($error:ty),*) => {$(
        impl From<$error> for TrainError {
            fn from(error: $error) -> Self {
                glass_generate::Error::from(error).into()
            }
        }
    )*};
}

from_below!(
    glass_backend::DeviceError,
    glass_backend::WeightError,
    glass_config::ConfigError,
    glass_checkpoint::CheckpointError,
    glass_text::TokenizerError
);
