//! One JSON object as a set of typed fields, with a memory of what was asked for.
//!
//! Whoever wants a field asks by name; what nobody asked for in the end is what the model does not
//! use.

use serde_json::{Map, Value};

use crate::FieldError;
use crate::error::shown;

/// The fields of one JSON object.
pub(crate) struct Fields {
    object: Map<String, Value>,
    /// Stands before every name in an error: `""`, or `"rope_parameters."` for the nested object.
    prefix: &'static str,
    asked: Vec<&'static str>,
    idle: Vec<(&'static str, String)>,
}

/// Turns a value that is not null into a `T`, or says what is expected instead.
type Convert<T> = fn(&Value) -> Result<T, String>;

/// What stands in the file for a field that may be null.
pub(crate) enum Given<T> {
    Absent,
    Null,
    Is(T),
}

impl<T> Given<T> {
    /// The value, where null and absence mean the same.
    pub(crate) fn some(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

impl Fields {
    pub(crate) fn new(object: Map<String, Value>, prefix: &'static str) -> Self {
        Self {
            object,
            prefix,
            asked: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// A field that may be null.
    pub(crate) fn nullable<T>(
        &mut self,
        name: &'static str,
        convert: Convert<T>,
    ) -> Result<Given<T>, FieldError> {
        self.asked.push(name);
        match self.object.get(name) {
            None => Ok(Given::Absent),
            Some(Value::Null) => Ok(Given::Null),
            Some(value) => match convert(value) {
                Ok(converted) => Ok(Given::Is(converted)),
                Err(rule) => Err(FieldError::invalid(
                    &self.full_name(name),
                    shown(value),
                    rule,
                )),
            },
        }
    }

    /// A field that may be left out but not be null, as transformers' strict classes have it.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        convert: Convert<T>,
    ) -> Result<Option<T>, FieldError> {
        match self.nullable(name, convert)? {
            Given::Absent => Ok(None),
            Given::Is(value) => Ok(Some(value)),
            Given::Null => {
                // The converter knows what it expects; null is never that.
                let expected = convert(&Value::Null).err().unwrap_or_default();
                Err(FieldError::invalid(
                    &self.full_name(name),
                    "null",
                    format!("{expected}; remove the field to get its default"),
                ))
            }
        }
    }

    /// A field that must be there; `fix` says why, and what to do.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        convert: Convert<T>,
        fix: &str,
    ) -> Result<T, FieldError> {
        match self.nullable(name, convert)?.some() {
            Some(value) => Ok(value),
            None => Err(FieldError::Missing {
                field: self.full_name(name),
                fix: fix.to_owned(),
            }),
        }
    }

    /// Records that a field was understood but, because of `why`, decides nothing. The file may
    /// carry it in silence (the file itself switched it off); an override of it is refused.
    pub(crate) fn mark_idle(&mut self, name: &'static str, why: impl Into<String>) {
        self.idle.push((name, why.into()));
    }

    pub(crate) fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.object.get(name)
    }

    pub(crate) fn was_asked(&self, name: &str) -> bool {
        self.asked.contains(&name)
    }

    pub(crate) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    pub(crate) fn idle_reason(&self, name: &str) -> Option<&str> {
        self.idle
            .iter()
            .find(|(idle, _)| *idle == name)
            .map(|(_, why)| why.as_str())
    }

    /// The fields of the file that nobody asked for, in the file's order.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.object
            .iter()
            .map(|(name, value)| (name.as_str(), value))
            .filter(|(name, _)| !self.was_asked(name))
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(crate) fn size(value: &Value) -> Result<usize, String> {
    let fits = value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok());
    fits.ok_or_else(|| match value.as_f64() {
        None => format!("must be a whole number, not {}", kind(value)),
        Some(number) if number < 0.0 => "must be a whole number that is not negative".to_owned(),
        Some(number) if number >= usize::MAX as f64 => "is larger than a size can be".to_owned(),
        Some(_) => "must be a whole number, written without a fraction or exponent".to_owned(),
    })
}

pub(crate) fn float(value: &Value) -> Result<f64, String> {
    value
        .as_f64()
        .ok_or_else(|| format!("must be a number, not {}", kind(value)))
}

pub(crate) fn boolean(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| format!("must be true or false, not {}", kind(value)))
}

pub(crate) fn text(value: &Value) -> Result<String, String> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("must be a string, not {}", kind(value))),
    }
}

pub(crate) fn floats(value: &Value) -> Result<Vec<f64>, String> {
    let Some(items) = value.as_array() else {
        return Err(format!("must be a list of numbers, not {}", kind(value)));
    };
    items
        .iter()
        .enumerate()
        .map(|(i, item)| float(item).map_err(|rule| format!("entry {i} {rule}")))
        .collect()
}

pub(crate) fn texts(value: &Value) -> Result<Vec<String>, String> {
    let Some(items) = value.as_array() else {
        return Err(format!("must be a list of strings, not {}", kind(value)));
    };
    items
        .iter()
        .enumerate()
        .map(|(i, item)| text(item).map_err(|rule| format!("entry {i} {rule}")))
        .collect()
}
