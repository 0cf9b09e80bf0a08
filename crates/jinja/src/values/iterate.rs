//! Python's `iter`, `len` and `in`.

use super::{Value, View, equal};
use crate::error::{Result, type_error};

/// The items of an iterable; an iterator has none left then.
///
/// # Errors
/// A value that is not iterable; the error at which an iterator ends.
pub(crate) fn iterate(value: &Value) -> Result<Vec<Value>> {
    Ok(match value {
        Value::Undefined(_) => Vec::new(),
        Value::Str(text) => text.chars().map(|letter| Value::str(letter.encode_utf8(&mut [0; 4]))).collect(),
        Value::Markup(text) => text.chars().map(|letter| Value::str(letter.encode_utf8(&mut [0; 4]))).collect(),
        Value::Bytes(bytes) => bytes.iter().map(|&byte| Value::Int(byte.into())).collect(),
        Value::List(items) | Value::Tuple(items) | Value::Group(items) => items.to_vec(),
        Value::Dict(dict) | Value::View(View::Keys, dict) => dict.keys().cloned().collect(),
        Value::View(View::Values, dict) => dict.iter().map(|(_, value)| value.clone()).collect(),
        Value::View(View::Items, dict) => {
            dict.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()
        }
        Value::Range(range) => range.values().collect(),
        Value::Iter(iter) => iter.rest.take().into_iter().collect::<Result<_>>()?,
        Value::Loop(state) => state.rest().into_iter().map(|item| Value::tuple(vec![item, value.clone()])).collect(),
        _ => return type_error(format!("'{}' object is not iterable", value.type_name())),
    })
}

/// # Errors
/// A value without a length.
pub(crate) fn length(value: &Value) -> Result<usize> {
    Ok(match value {
        Value::Undefined(_) => 0,
        Value::Str(text) | Value::Markup(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) | Value::Tuple(items) | Value::Group(items) => items.len(),
        Value::Dict(dict) | Value::View(_, dict) => dict.len(),
        Value::Range(range) => range.len(),
        Value::Loop(state) => state.length(),
        _ => return type_error(format!("object of type '{}' has no len()", value.type_name())),
    })
}

/// Python's `value in container`.
///
/// # Errors
/// A container that is none; a value that cannot be in it.
pub(crate) fn contains(container: &Value, value: &Value) -> Result<bool> {
    match container {
        Value::Str(text) | Value::Markup(text) => match value.as_str() {
            Some(part) => Ok(text.contains(part)),
            None => type_error(format!("'in <string>' requires string as left operand, not {}", value.type_name())),
        },
        Value::Dict(dict) | Value::View(View::Keys, dict) => {
            super::check_hashable(value)?;
            Ok(dict.get(value).is_some())
        }
        _ => match iterate(container) {
            Ok(items) => Ok(items.iter().any(|item| equal(item, value))),
            Err(_) if !matches!(container, Value::Iter(_)) => {
                type_error(format!("argument of type '{}' is not iterable", container.type_name()))
            }
            Err(error) => Err(error),
        },
    }
}
