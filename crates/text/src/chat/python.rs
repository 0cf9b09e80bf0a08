//! The environment that chat templates expect: Jinja2 in Python, with transformers' additions.

use std::{error::Error as _, fmt};

use jiff::{Zoned, civil::DateTime, fmt::strtime};
use minijinja::{Environment, Error, ErrorKind, Value, filters, syntax::SyntaxConfig, value::ValueKind};

use super::tojson::tojson;

/// Jinja as transformers configures it (`utils/chat_template_utils.py`): `trim_blocks`, `lstrip_blocks`,
/// `raise_exception`, `strftime_now` and its own `tojson`.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    minijinja_contrib::add_to_environment(&mut environment);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", tojson);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_test("sequence", is_sequence);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", |format: &str| strftime(format, Zoned::now().datetime()));
    Ok(environment)
}

/// In Jinja2 an undefined value has length 0.
fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    filters::length(value)
}

/// In Python strings and dicts are sequences too.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
}

fn strftime(format: &str, time: DateTime) -> Result<String, Error> {
    strtime::format(format, time)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {error}")))
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let raised = Raised(message.to_string());
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(raised))
}

/// The message of `raise_exception`.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// The message of `raise_exception`, if it caused the error.
pub(super) fn raised_message(error: &Error) -> Option<&str> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(Raised(message)) = error.downcast_ref() {
            return Some(message);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's `datetime(2024, 7, 4, 15, 6, 9).strftime`.
    #[test]
    fn strftime_formats_as_in_python() {
        let time = jiff::civil::datetime(2024, 7, 4, 15, 6, 9, 0);
        for (format, text) in [
            ("%d %b %Y", "04 Jul 2024"),
            ("%B %d, %Y", "July 04, 2024"),
            ("%A %a %-d.%-m.%y", "Thursday Thu 4.7.24"),
            ("%Y-%m-%dT%H:%M:%S", "2024-07-04T15:06:09"),
            ("%I:%M %p %j %%", "03:06 PM 186 %"),
        ] {
            assert_eq!(strftime(format, time).unwrap(), text);
        }
        assert!(strftime("%", time).is_err());
    }
}
