use std::fmt;

/// What kind of error Python would raise: some of Jinja's filters catch some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The template's text is not Jinja.
    Syntax,
    /// The template calls `raise_exception`.
    Raised,
    /// Something was done with a value that is not defined.
    Undefined,
    /// A wrong type.
    Type,
    /// A wrong value.
    Value,
    /// What the sandbox forbids, and what this crate does not have.
    Refused,
}

/// Why a template has no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    /// The line of the template, from 1, where it is known.
    pub line: Option<usize>,
    pub message: String,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, line: None, message: message.into() }
    }

    pub(crate) fn at(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }
}

pub(crate) fn type_error<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Type, message))
}

pub(crate) fn value_error<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Value, message))
}

pub(crate) fn refused<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Refused, message))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
