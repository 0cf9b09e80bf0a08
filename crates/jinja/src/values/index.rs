//! `value.name`, `value[key]` and `value[start:stop:step]`, in Jinja's sandbox.

use std::rc::Rc;

use super::{Value, View, repr_str};
use crate::{
    error::{Result, type_error, value_error},
    python,
};

/// `value.name`: an attribute, else an item.
///
/// # Errors
/// The value is not defined.
pub(crate) fn attribute(value: &Value, name: &str) -> Result<Value> {
    value.check_defined()?;
    if let Some(found) = own_attribute(value, name) {
        return Ok(found);
    }
    Ok(own_item(value, &Value::str(name)).unwrap_or_else(|| missing(value, &Value::str(name))))
}

/// `value[key]`: an item, else an attribute.
///
/// # Errors
/// The value is not defined.
pub(crate) fn item(value: &Value, key: &Value) -> Result<Value> {
    value.check_defined()?;
    if let Some(found) = own_item(value, key) {
        return Ok(found);
    }
    let found = key.as_str().and_then(|name| own_attribute(value, name));
    Ok(found.unwrap_or_else(|| missing(value, key)))
}

fn missing(value: &Value, key: &Value) -> Value {
    let type_name = match value {
        Value::None => "None".to_owned(),
        _ => format!("{} object", value.type_name()),
    };
    match key.as_str() {
        Some(name) => Value::undefined(format!("{} has no attribute {}", repr_str(&type_name), repr_str(name))),
        None => Value::undefined(format!("{type_name} has no element {}", super::repr(key))),
    }
}

fn own_item(value: &Value, key: &Value) -> Option<Value> {
    let at = |length: usize| {
        let index = key.as_int()?;
        let index = if index < 0 { index + length as i128 } else { index };
        usize::try_from(index).ok().filter(|&index| index < length)
    };
    match value {
        Value::Str(text) => text.chars().nth(at(text.chars().count())?).map(|letter| Value::str(letter.to_string())),
        Value::Markup(text) => {
            let letter = text.chars().nth(at(text.chars().count())?)?;
            Some(Value::Markup(letter.to_string().into()))
        }
        Value::Bytes(bytes) => bytes.get(at(bytes.len())?).map(|&byte| Value::Int(byte.into())),
        Value::List(items) | Value::Tuple(items) | Value::Group(items) => items.get(at(items.len())?).cloned(),
        Value::Range(range) => at(range.len()).map(|index| Value::Int(range.get(index))),
        Value::Dict(dict) => dict.get(key).cloned(),
        _ => None,
    }
}

/// An attribute of Python's object, which the sandbox may hide.
fn own_attribute(value: &Value, name: &str) -> Option<Value> {
    if name.starts_with("__") && name.ends_with("__") && name.len() > 4 && !matches!(value, Value::Namespace(_)) {
        return Some(hidden(value, name));
    }
    let int = |value: i128| Some(Value::Int(value));
    match (value, name) {
        (Value::Namespace(attributes), _) => return attributes.borrow().get_str(name).cloned(),
        (Value::Loop(state), _) => return state.attribute(value, name),
        (Value::Macro(node), _) => return node.attribute(name),
        (Value::Cycler(cycler), "current") => return cycler.items.get(cycler.at.get()).cloned(),
        (Value::Cycler(cycler), "pos") => return int(cycler.at.get() as i128),
        (Value::Cycler(cycler), "items") => return Some(Value::tuple(cycler.items.clone())),
        (Value::Joiner(joiner), "sep") => return Some(joiner.separator.clone()),
        (Value::Joiner(joiner), "used") => return Some(Value::Bool(joiner.used.get())),
        (Value::Group(items), "grouper") => return items.first().cloned(),
        (Value::Group(items), "list") => return items.get(1).cloned(),
        (Value::Range(range), "start") => return int(range.start),
        (Value::Range(range), "stop") => return int(range.stop),
        (Value::Range(range), "step") => return int(range.step),
        (Value::Int(_) | Value::Bool(_), "real" | "numerator") => return int(value.as_int()?),
        (Value::Int(_) | Value::Bool(_), "imag") => return int(0),
        (Value::Int(_) | Value::Bool(_), "denominator") => return int(1),
        (Value::Float(float), "real") => return Some(Value::Float(*float)),
        (Value::Float(_), "imag") => return Some(Value::Float(0.0)),
        (Value::View(View::Keys | View::Values | View::Items, dict), "mapping") => {
            return Some(Value::Dict(dict.clone()));
        }
        _ => {}
    }
    if python::changes(value, name) {
        return Some(hidden(value, name));
    }
    python::has_method(value, name).then(|| Value::Method(Rc::new((value.clone(), name.to_owned()))))
}

fn hidden(value: &Value, name: &str) -> Value {
    Value::forbidden(format!(
        "access to attribute {} of {} object is unsafe.",
        repr_str(name),
        repr_str(value.type_name())
    ))
}

/// # Errors
/// A value that has no slices; bounds that are no integers.
pub(crate) fn slice(value: &Value, bounds: [&Value; 3]) -> Result<Value> {
    value.check_defined()?;
    let mut numbers = [None; 3];
    for (number, bound) in numbers.iter_mut().zip(bounds) {
        *number = match bound {
            Value::None => None,
            _ => match bound.as_int() {
                Some(bound) => Some(bound),
                None => return type_error("slice indices must be integers or None or have an __index__ method"),
            },
        };
    }
    let [start, stop, step] = numbers;
    let step = step.unwrap_or(1);
    if step == 0 {
        return value_error("slice step cannot be zero");
    }
    let indices = |length| slice_range(length, start, stop, step);
    let text = |text: &str| {
        let letters: Vec<char> = text.chars().collect();
        indices(letters.len()).map(|index| letters[index]).collect::<String>()
    };
    let items = |items: &[Value]| indices(items.len()).map(|index| items[index].clone()).collect();
    Ok(match value {
        Value::Str(letters) => Value::str(text(letters)),
        Value::Markup(letters) => Value::Markup(text(letters).into()),
        Value::Bytes(bytes) => Value::Bytes(indices(bytes.len()).map(|index| bytes[index]).collect()),
        Value::List(list) => Value::list(items(list)),
        Value::Tuple(list) | Value::Group(list) => Value::tuple(items(list)),
        Value::Range(range) => {
            let (first, last) = bounds_of(range.len(), start, stop, step);
            Value::Range(super::Range {
                start: range.start + first * range.step,
                stop: range.start + last * range.step,
                step: range.step * step,
            })
        }
        _ => return type_error(format!("'{}' object is not subscriptable", value.type_name())),
    })
}

/// Python's `slice(start, stop, step).indices(length)`, without the step.
fn bounds_of(length: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> (i128, i128) {
    let length = length as i128;
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clip = |bound: Option<i128>, default: i128| match bound {
        None => default,
        Some(bound) if bound < 0 => (bound + length).max(low),
        Some(bound) => bound.min(high),
    };
    if step > 0 { (clip(start, low), clip(stop, high)) } else { (clip(start, high), clip(stop, low)) }
}

/// The indices that a slice takes.
fn slice_range(length: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> impl Iterator<Item = usize> {
    let (start, stop) = bounds_of(length, start, stop, step);
    super::Range { start, stop, step }.values().filter_map(|index| usize::try_from(index.as_int()?).ok())
}
