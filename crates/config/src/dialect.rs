//! One dialect: a version-4 file becomes what transformers 5 would have written.
//!
//! | version 4 | version 5 |
//! |---|---|
//! | `rope_theta`, `rope_scaling {type, ...}` | `rope_parameters {rope_theta, rope_type, ...}` |
//! | `original_max_position_embeddings` beside them (Phi-3's habit) | inside `rope_parameters` |
//! | `torch_dtype` | `dtype` |
//!
//! A file may hold both spellings (converters write both). transformers then silently prefers one;
//! here they must agree, but for the dtype, which decides nothing.

use serde_json::{Map, Value};

use crate::error::{Checked, FieldError, shown};

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
    pub fn new(mut top: Map<String, Value>) -> Checked<Self> {
        let mut old_names = Vec::new();
        for name in ["dtype", "torch_dtype"] {
            if let Some(Value::String(dtype)) = top.get_mut(name) {
                // Some writers leave PyTorch's module in.
                *dtype = dtype.trim_start_matches("torch.").to_owned();
            }
        }
        // They decide nothing: where they differ, the new one counts, and the old one is told of as unused.
        let dtype = top.get("dtype").filter(|dtype| !dtype.is_null());
        if dtype.is_none_or(|dtype| top.get("torch_dtype").is_none_or(|old| old.is_null() || dtype == old))
            && let Some(old) = top.shift_remove("torch_dtype")
            && merge(&mut top, ("dtype", "dtype"), ("torch_dtype", Some(old)))?
        {
            old_names.push(("dtype".to_owned(), "torch_dtype"));
        }

        let (new, old) = (rope_object(&mut top, ROPE)?, rope_object(&mut top, OLD_ROPE)?);
        // θ is in the one and beside the other.
        let differ = |a: &Map<_, _>, b: &Map<_, _>| {
            a.iter().any(|(name, value)| match b.get(name) {
                Some(other) => !equal(value, other),
                None => name != "rope_theta",
            })
        };
        let is_double = !new.is_empty() && !old.is_empty();
        if is_double && (differ(&new, &old) || differ(&old, &new)) {
            let (new, old) = (shown(&new.into()), shown(&old.into()));
            return Err(FieldError::contradiction((ROPE, new), (OLD_ROPE, old)));
        }
        let nested = if new.is_empty() && !old.is_empty() { OLD_ROPE } else { ROPE };
        let mut rope = old;
        rope.extend(new);
        for name in ["rope_theta", "original_max_position_embeddings"] {
            let beside = top.shift_remove(name);
            let nested = format!("{nested}.{name}");
            if merge(&mut rope, (name, &nested), (name, beside))? {
                old_names.push((format!("{ROPE}.{name}"), name));
            }
        }
        old_names.push((ROPE.to_owned(), nested));
        Ok(Self { top, rope, old_names })
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
) -> Checked<bool> {
    let Some(old) = old else { return Ok(false) };
    match object.get(name) {
        None | Some(Value::Null) => {
            object.insert(name.to_owned(), old);
            Ok(true)
        }
        Some(new) if old.is_null() || equal(new, &old) => Ok(false),
        Some(new) => {
            let (new, old) = (shown(new), shown(&old));
            Err(FieldError::contradiction((full_name, new), (old_name, old)))
        }
    }
}

/// Takes the rope object `field` out of `top`, its old key `type` renamed. Null is an empty one, which transformers
/// takes as not given.
fn rope_object(top: &mut Map<String, Value>, field: &str) -> Checked<Map<String, Value>> {
    let mut object = match top.shift_remove(field) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(object)) => object,
        Some(other) => {
            let rule = "must be an object {...} or null";
            return Err(FieldError::invalid(field, shown(&other), rule));
        }
    };
    let (new, old) = (format!("{field}.rope_type"), format!("{field}.type"));
    let value = object.shift_remove("type");
    merge(&mut object, ("rope_type", &new), (&old, value))?;
    Ok(object)
}

/// Equality in which 8 is 8.0, as in Python.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}
