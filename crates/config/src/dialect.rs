//! One dialect: a version-4 file becomes what transformers 5 would have written.
//!
//! | version 4 | version 5 |
//! |---|---|
//! | `rope_theta`, `rope_scaling {type, ...}` | `rope_parameters {rope_theta, rope_type, ...}` |
//! | `original_max_position_embeddings` beside them (Phi-3's habit) | inside `rope_parameters` |
//! | `torch_dtype` | `dtype` |
//!
//! A file may hold both spellings (converters write both). transformers then silently prefers one;
//! here they must agree.

use serde_json::{Map, Value};

use crate::error::{FieldError, shown};

pub(crate) const ROPE: &str = "rope_parameters";
pub(crate) const OLD_ROPE: &str = "rope_scaling";

/// A config in version 5's dialect.
pub(crate) struct Normalised {
    /// Everything but `rope_parameters`.
    pub top: Map<String, Value>,
    pub rope: Map<String, Value>,
    /// Version 5's name and the file's, for what the file spells otherwise. Nested fields first.
    old_names: Vec<(String, &'static str)>,
}

impl Normalised {
    /// # Errors
    /// Two spellings that contradict each other, or a rope field that is no object.
    pub fn new(mut top: Map<String, Value>) -> Result<Self, FieldError> {
        let mut old_names = Vec::new();
        let dtype = top.shift_remove("torch_dtype");
        if merge(&mut top, ("dtype", "dtype"), ("torch_dtype", dtype))? {
            old_names.push(("dtype".to_owned(), "torch_dtype"));
        }
        if let Some(Value::String(dtype)) = top.get_mut("dtype") {
            // Some writers leave PyTorch's module in.
            *dtype = dtype.trim_start_matches("torch.").to_owned();
        }

        let (mut rope, nested) = match (
            rope_object(&mut top, ROPE)?,
            rope_object(&mut top, OLD_ROPE)?,
        ) {
            (Some(new), Some(old)) => {
                // θ is in the one and beside the other.
                let within = |a: &Map<_, _>, b: &Map<_, _>| {
                    a.iter().all(|(name, value)| match b.get(name) {
                        Some(other) => equal(value, other),
                        None => name == "rope_theta",
                    })
                };
                if !(within(&new, &old) && within(&old, &new)) {
                    let (new, old) = (Value::Object(new), Value::Object(old));
                    return Err(FieldError::contradiction(
                        (ROPE, shown(&new)),
                        (OLD_ROPE, shown(&old)),
                    ));
                }
                (old.into_iter().chain(new).collect(), ROPE)
            }
            (None, Some(old)) => (old, OLD_ROPE),
            (new, None) => (new.unwrap_or_default(), ROPE),
        };
        for name in ["rope_theta", "original_max_position_embeddings"] {
            let beside = top.shift_remove(name);
            let nested = format!("{nested}.{name}");
            if merge(&mut rope, (name, &nested), (name, beside))? {
                old_names.push((format!("{ROPE}.{name}"), name));
            }
        }
        old_names.push((ROPE.to_owned(), nested));
        Ok(Self {
            top,
            rope,
            old_names,
        })
    }

    /// The file's name for a field of the version-5 dialect.
    pub fn name_in_file(&self, field: &str) -> String {
        let mut names = self.old_names.iter();
        let renamed = names.find_map(|(new, old)| {
            let rest = field.strip_prefix(new.as_str())?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{old}{rest}"))
        });
        renamed.unwrap_or_else(|| field.to_owned())
    }
}

/// Puts `old`, the value of an older spelling, into `object` under the new one, and says whether it did. Where both
/// have a value they must agree.
fn merge(
    object: &mut Map<String, Value>,
    (name, full_name): (&str, &str),
    (old_name, old): (&str, Option<Value>),
) -> Result<bool, FieldError> {
    let Some(old) = old else { return Ok(false) };
    match object.get(name) {
        Some(new) if !new.is_null() => {
            if old.is_null() || equal(new, &old) {
                return Ok(false);
            }
            let (new, old) = (shown(new), shown(&old));
            Err(FieldError::contradiction((full_name, new), (old_name, old)))
        }
        _ => {
            object.insert(name.to_owned(), old);
            Ok(true)
        }
    }
}

/// Takes the rope object `field` out of `top`, its old key `type` renamed; `None` where null or empty, which
/// transformers takes as not given.
fn rope_object(
    top: &mut Map<String, Value>,
    field: &str,
) -> Result<Option<Map<String, Value>>, FieldError> {
    match top.shift_remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(mut object)) => {
            let (new, old) = (format!("{field}.rope_type"), format!("{field}.type"));
            let value = object.shift_remove("type");
            merge(&mut object, ("rope_type", &new), (&old, value))?;
            Ok((!object.is_empty()).then_some(object))
        }
        Some(other) => {
            let rule = "must be an object {...} or null";
            Err(FieldError::invalid(field, shown(&other), rule))
        }
    }
}

/// Equality in which 8 is 8.0, as in Python.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}
