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

use crate::FieldError;
use crate::error::shown;
use crate::fields::kind;

pub(crate) const ROPE: &str = "rope_parameters";

/// A config in version 5's dialect.
pub(crate) struct Normalised {
    /// Everything but `rope_parameters`.
    pub top: Map<String, Value>,
    pub rope: Map<String, Value>,
    pub spelling: Spelling,
}

/// How the file spelled what has been renamed, so that messages name what its reader sees.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spelling {
    rope_scaling: bool,
    rope_theta: bool,
    original_length: bool,
    torch_dtype: bool,
}

impl Spelling {
    /// The file's name for a field of the version-5 dialect.
    pub(crate) fn in_file(self, name: &str) -> String {
        match (name, name.strip_prefix("rope_parameters.")) {
            ("dtype", _) if self.torch_dtype => "torch_dtype".to_owned(),
            (_, Some(inner @ "rope_theta")) if self.rope_theta => inner.to_owned(),
            (_, Some(inner @ "original_max_position_embeddings")) if self.original_length => {
                inner.to_owned()
            }
            (_, Some(inner)) if self.rope_scaling => format!("rope_scaling.{inner}"),
            _ => name.to_owned(),
        }
    }
}

/// The version-5 path of a field that may be named in either dialect.
pub(crate) fn modern_name(name: &str) -> String {
    match name {
        "torch_dtype" => "dtype".to_owned(),
        "rope_scaling" => ROPE.to_owned(),
        "rope_theta" | "original_max_position_embeddings" => format!("{ROPE}.{name}"),
        "rope_scaling.type" | "rope_parameters.type" => format!("{ROPE}.rope_type"),
        _ => match name.strip_prefix("rope_scaling.") {
            Some(inner) => format!("{ROPE}.{inner}"),
            None => name.to_owned(),
        },
    }
}

pub(crate) fn normalise(mut top: Map<String, Value>) -> Result<Normalised, FieldError> {
    let mut spelling = Spelling::default();

    let torch_dtype = take(&mut top, "torch_dtype").filter(|dtype| !dtype.is_null());
    if let Some(old) = torch_dtype {
        match top.get("dtype").filter(|dtype| !dtype.is_null()) {
            Some(new) if *new != old => {
                return Err(contradiction("dtype", new, "torch_dtype", &old));
            }
            Some(_) => {}
            None => {
                spelling.torch_dtype = true;
                top.insert("dtype".to_owned(), old);
            }
        }
    }

    let parameters = take(&mut top, ROPE)
        .map(|value| rope_object(ROPE, value))
        .transpose()?
        .flatten();
    let scaling = take(&mut top, "rope_scaling");
    let scaling = scaling
        .map(|value| rope_object("rope_scaling", value))
        .transpose()?
        .flatten();
    let mut rope = match (parameters, scaling) {
        (Some(new), Some(old)) => {
            // θ lives inside the one and beside the other.
            let same = |(name, value): (&String, &Value)| {
                name == "rope_theta" || equal(old.get(name), Some(value))
            };
            let named =
                |(name, _): (&String, &Value)| name == "rope_theta" || new.contains_key(name);
            if !new.iter().all(same) || !old.iter().all(named) {
                let (new, old) = (Value::Object(new), Value::Object(old));
                return Err(contradiction(ROPE, &new, "rope_scaling", &old));
            }
            new
        }
        (Some(new), None) => new,
        (None, Some(old)) => {
            spelling.rope_scaling = true;
            old
        }
        (None, None) => Map::new(),
    };

    for (name, beside) in [
        ("rope_theta", &mut spelling.rope_theta),
        (
            "original_max_position_embeddings",
            &mut spelling.original_length,
        ),
    ] {
        let Some(outer) = take(&mut top, name) else {
            continue;
        };
        match rope.get(name) {
            Some(inner) if !equal(Some(inner), Some(&outer)) => {
                let nested = if spelling.rope_scaling {
                    "rope_scaling"
                } else {
                    ROPE
                };
                return Err(contradiction(
                    name,
                    &outer,
                    &format!("{nested}.{name}"),
                    inner,
                ));
            }
            Some(_) => {}
            None => {
                *beside = true;
                rope.insert(name.to_owned(), outer);
            }
        }
    }
    Ok(Normalised {
        top,
        rope,
        spelling,
    })
}

/// The rope object that `value` holds, its old key `type` renamed; `None` where null or empty,
/// which transformers takes as not given.
pub(crate) fn rope_object(
    field: &str,
    value: Value,
) -> Result<Option<Map<String, Value>>, FieldError> {
    let mut object = match value {
        Value::Null => return Ok(None),
        Value::Object(object) if object.is_empty() => return Ok(None),
        Value::Object(object) => object,
        other => {
            let rule = format!("must be an object {{...}} or null, not {}", kind(&other));
            return Err(FieldError::invalid(field, shown(&other), rule));
        }
    };
    if let Some(old) = take(&mut object, "type") {
        match object.get("rope_type") {
            Some(new) if *new != old => {
                let (new_name, old_name) = (format!("{field}.rope_type"), format!("{field}.type"));
                return Err(contradiction(&new_name, new, &old_name, &old));
            }
            Some(_) => {}
            None => {
                object.insert("rope_type".to_owned(), old);
            }
        }
    }
    Ok(Some(object))
}

/// Removes a field and keeps the others in the file's order.
fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    object.shift_remove(name)
}

/// Equality in which 8 is 8.0, as in Python.
fn equal(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn contradiction(
    first: &str,
    first_value: &Value,
    second: &str,
    second_value: &Value,
) -> FieldError {
    FieldError::Contradiction {
        first: first.to_owned(),
        first_value: shown(first_value),
        second: second.to_owned(),
        second_value: shown(second_value),
    }
}
