use std::io;

use glass_generate::Error;
use thiserror::Error;

/// Why there is nothing to measure or to compare: one line each.
#[derive(Debug, Error)]
pub enum BenchError {
    /// Boxed, because it is many times the size of what functions return when all is well.
    #[error(transparent)]
    Model(Box<Error>),
    #[error("the reference's logits cannot be kept in {file}: {source}")]
    File { file: String, source: io::Error },
}

impl<E: Into<Error>> From<E> for BenchError {
    fn from(error: E) -> Self {
        Self::Model(Box::new(error.into()))
    }
}
