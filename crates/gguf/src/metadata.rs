//! The keys of a file, in their order.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::GgufError;
use crate::value::{Array, Strings, Value};

/// What a file says of its model. A getter gives `None` where there is no such key, and an error that names file and key
/// where it has another type.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    origin: PathBuf,
    values: IndexMap<String, Value>,
}

type Got<T> = Result<Option<T>, GgufError>;

impl Metadata {
    /// No keys yet; `origin` stands for the file in errors.
    pub fn new(origin: impl Into<PathBuf>) -> Self {
        Self { origin: origin.into(), values: IndexMap::new() }
    }

    /// The file whose keys these are.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// Sets a key, at the end if it is new. Gives the value it had.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.values.insert(key.into(), value.into())
    }

    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.values.shift_remove(key)
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub fn string(&self, key: &str) -> Got<&str> {
        self.typed(key, "a string", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// An integer of any type that is not negative.
    pub fn u64(&self, key: &str) -> Got<u64> {
        self.typed(key, "a non-negative integer", Value::as_u64)
    }

    /// As [`u64`](Self::u64), for sizes and counts.
    pub fn usize(&self, key: &str) -> Got<usize> {
        self.typed(key, "a non-negative integer that fits this machine", |value| value.as_u64()?.try_into().ok())
    }

    /// A float of any type.
    pub fn f64(&self, key: &str) -> Got<f64> {
        self.typed(key, "a float", |value| match *value {
            Value::F32(n) => Some(n.into()),
            Value::F64(n) => Some(n),
            _ => None,
        })
    }

    pub fn bool(&self, key: &str) -> Got<bool> {
        self.typed(key, "a bool", |value| match *value {
            Value::Bool(is) => Some(is),
            _ => None,
        })
    }

    pub fn strings(&self, key: &str) -> Got<&Strings> {
        self.array(key, "an array of strings", |array| match array {
            Array::String(strings) => Some(strings),
            _ => None,
        })
    }

    pub fn i32s(&self, key: &str) -> Got<&[i32]> {
        self.array(key, "an array of i32", |array| match array {
            Array::I32(numbers) => Some(numbers.as_slice()),
            _ => None,
        })
    }

    pub fn f32s(&self, key: &str) -> Got<&[f32]> {
        self.array(key, "an array of f32", |array| match array {
            Array::F32(numbers) => Some(numbers.as_slice()),
            _ => None,
        })
    }

    pub fn bools(&self, key: &str) -> Got<&[bool]> {
        self.array(key, "an array of bools", |array| match array {
            Array::Bool(flags) => Some(flags.as_slice()),
            _ => None,
        })
    }

    /// Integers of any type that are not negative.
    pub fn u64s(&self, key: &str) -> Got<Vec<u64>> {
        self.array(key, "an array of non-negative integers", Array::as_u64s)
    }

    /// The error for those who need `key` where it is not: `metadata.u64(key)?.ok_or_else(|| metadata.missing(key))`.
    pub fn missing(&self, key: &str) -> GgufError {
        GgufError::NoKey { file: self.origin.clone(), key: key.to_owned() }
    }

    /// The error for those who cannot take the value that `key` has; `expected` says what belongs there.
    pub fn wrong(&self, key: &str, expected: &'static str) -> GgufError {
        let found = self.get(key).map_or("absent".to_owned(), Value::to_string);
        GgufError::Key { file: self.origin.clone(), key: key.to_owned(), found, expected }
    }

    fn typed<'a, T>(&'a self, key: &str, expected: &'static str, get: impl FnOnce(&'a Value) -> Option<T>) -> Got<T> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        get(value).map(Some).ok_or_else(|| self.wrong(key, expected))
    }

    fn array<'a, T>(&'a self, key: &str, expected: &'static str, get: impl FnOnce(&'a Array) -> Option<T>) -> Got<T> {
        self.typed(key, expected, |value| match value {
            Value::Array(array) => get(array),
            _ => None,
        })
    }
}
