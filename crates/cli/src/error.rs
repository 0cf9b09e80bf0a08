use std::{io, path::PathBuf};

use glass_checkpoint::ConvertError;
use thiserror::Error;

/// Why a command failed: one line each.
#[derive(Debug, Error)]
pub enum CliError {
    /// Boxed, because it is many times the size of what functions return when all is well.
    #[error(transparent)]
    Model(Box<glass_generate::Error>),
    #[error(transparent)]
    Hub(#[from] glass_hub::HubError),
    #[error(transparent)]
    Save(#[from] glass_checkpoint::SaveError),
    #[error(transparent)]
    Eval(#[from] glass_eval::EvalError),
    #[error(transparent)]
    Train(#[from] glass_train::TrainError),
    #[error(transparent)]
    Plot(#[from] glass_plot::PlotError),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    Input { path: PathBuf, reason: String },
    #[error("{0}")]
    Usage(String),
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// The reader of standard output went away, as `head` does: nothing to say.
    #[error("standard output was closed")]
    Closed,
    #[error("the results cannot be written: {0}")]
    Render(#[from] glass_bench::RenderError),
    #[error("{bad} of {all} rows were not measured, or are not right: they say why")]
    Rows { bad: usize, all: usize },
    #[error("{bad} of {all} prompts were not continued: see above")]
    Prompts { bad: usize, all: usize },
    #[error("{bad} of {all} messages were not answered: what was wrong is said above")]
    Unanswered { bad: usize, all: usize },
    #[error("interrupted")]
    Interrupted,
}

impl CliError {
    /// What standard output answered.
    pub fn stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::Closed,
            _ => CliError::Stdout(error),
        }
    }
}

impl From<glass_generate::Error> for CliError {
    fn from(error: glass_generate::Error) -> Self {
        CliError::Model(Box::new(error))
    }
}

impl From<ConvertError> for CliError {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Config(error) => error.into(),
            ConvertError::Checkpoint(error) => error.into(),
            ConvertError::Save(error) => error.into(),
        }
    }
}

/// Errors of the crates below go through the one that gathers them.
macro_rules! from_below {
    ($($error:ty),*) => {$(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                glass_generate::Error::from(error).into()
            }
        }
    )*};
}

from_below!(
    glass_attention::CacheError,
    glass_attention::CachePolicyError,
    glass_backend::DeviceError,
    glass_config::ConfigError,
    glass_text::ChatTemplateError,
    glass_checkpoint::CheckpointError,
    glass_generate::GenerationConfigError,
    glass_generate::SamplingError,
    glass_text::TokenizerError
);
