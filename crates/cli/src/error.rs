use std::{
    env, io,
    path::{Path, PathBuf},
};

use glass_checkpoint::{ConvertError, SaveError};
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
    Save(#[from] SaveError),
    #[error(transparent)]
    Eval(#[from] glass_eval::EvalError),
    #[error(transparent)]
    Train(#[from] glass_train::TrainError),
    #[error("{error}; the run stands at its checkpoint of step {step}, and goes on with: {command}")]
    Unsaved { error: Box<glass_train::TrainError>, step: usize, command: String },
    #[error(transparent)]
    Bench(#[from] glass_bench::BenchError),
    #[error(transparent)]
    Plot(#[from] glass_plot::PlotError),
    #[error(transparent)]
    Listen(#[from] glass_server::ListenError),
    #[error("{place}: {error}")]
    Key { place: String, error: glass_server::KeyError },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: {reason}", path.display())]
    Input { path: PathBuf, reason: String },
    #[error("{} exists: give another name, or --force to overwrite it", .0.display())]
    Exists(PathBuf),
    #[error("{error} ({variables} is set in the environment)")]
    Environment { error: Box<CliError>, variables: String },
    #[error("{0}")]
    Usage(String),
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// The reader of standard output is gone, as `head` is: not a failure.
    #[error("standard output was closed")]
    Closed,
    #[error("the results cannot be written: {0}")]
    Render(#[from] glass_bench::RenderError),
    #[error("{bad} of {all} rows were not measured, or are not right: they say why")]
    Rows { bad: usize, all: usize },
    #[error("{bad} of {all} prompts were not continued, or not to the end: see above")]
    Prompts { bad: usize, all: usize },
    #[error("{bad} of {all} messages were not answered, or not to the end: what was wrong is said above")]
    Unanswered { bad: usize, all: usize },
    #[error("interrupted")]
    Interrupted,
}

impl CliError {
    /// An error of reading this file.
    pub fn reading(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    /// An error of writing this file.
    pub fn writing(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// A file or folder that is not as it must be.
    pub fn input(path: &Path, reason: impl Into<String>) -> Self {
        Self::Input { path: path.to_owned(), reason: reason.into() }
    }

    /// An error of values that may come from the environment: names the variables that have them.
    pub fn with_environment(self, values: &[(&str, &str)]) -> Self {
        let set = |(name, value): &&(&str, &str)| env::var(name).is_ok_and(|set| set == *value);
        let variables: Vec<String> = values.iter().filter(set).map(|(name, value)| format!("{name}={value}")).collect();
        if variables.is_empty() {
            return self;
        }
        Self::Environment { error: Box::new(self), variables: variables.join(", ") }
    }

    /// An error of writing to standard output.
    pub fn stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Stdout(error),
        }
    }
}

impl From<glass_generate::Error> for CliError {
    fn from(error: glass_generate::Error) -> Self {
        match error {
            glass_generate::Error::Convert(error) => (*error).into(),
            error => Self::Model(Box::new(error)),
        }
    }
}

impl From<ConvertError> for CliError {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Save(SaveError::Interrupted) => Self::Interrupted,
            ConvertError::Config(error) => error.into(),
            ConvertError::Checkpoint(error) => error.into(),
            ConvertError::Save(error) => error.into(),
            ConvertError::Device(error) => error.into(),
            ConvertError::Weight(error) => error.into(),
        }
    }
}

/// Errors of the crates below, by way of the one that gathers them.
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
    glass_kv_cache::CacheError,
    glass_kv_cache::CachePolicyError,
    glass_backend::DeviceError,
    glass_backend::WeightError,
    glass_config::ConfigError,
    glass_text::ChatTemplateError,
    glass_checkpoint::CheckpointError,
    glass_gguf::GgufError,
    glass_generate::GenerationConfigError,
    glass_generate::SamplingError,
    glass_text::TokenizerError
);
