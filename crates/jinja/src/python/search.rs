//! The methods of `str` that look for a part.

use super::{int_of, text_of};
use crate::{
    error::{Result, type_error, value_error},
    render::Args,
    values::Value,
};

pub(super) fn call(text: &str, name: &str, args: Args) -> Result<Value> {
    let [part, start, stop] = args.positional(name, 1)?;
    let part = part.unwrap_or(Value::None);
    let length = text.chars().count();
    let bound = |value: Option<Value>, default: usize| match value {
        None | Some(Value::None) => Ok(default as i128),
        Some(value) => int_of(&value).map(|index| if index < 0 { (index + length as i128).max(0) } else { index }),
    };
    let (start, stop) = (bound(start, 0)?, bound(stop, length)?.min(length as i128));
    // A part that begins behind the end holds nothing, not even an empty text.
    let window = (start <= stop).then(|| {
        let at = |index: i128| text.char_indices().nth(index as usize).map_or(text.len(), |(at, _)| at);
        &text[at(start)..at(stop)]
    });
    if matches!(name, "startswith" | "endswith") {
        let holds = |part: &Value| -> Result<bool> {
            let Some(part) = part.as_str() else {
                return type_error(format!("{name} first arg must be str or a tuple of str, not {}", part.type_name()));
            };
            Ok(window.is_some_and(|window| match name {
                "startswith" => window.starts_with(part),
                _ => window.ends_with(part),
            }))
        };
        let holds = match &part {
            Value::Tuple(parts) | Value::Group(parts) => {
                let mut any = false;
                for part in parts.iter() {
                    any = any || holds(part)?;
                }
                any
            }
            _ => holds(&part)?,
        };
        return Ok(Value::Bool(holds));
    }
    let part = text_of(&part, name)?;
    if name == "count" {
        return Ok(Value::Int(window.map_or(0, |window| window.matches(part).count()) as i128));
    }
    let found = window.and_then(|window| {
        let at = if name.starts_with('r') { window.rfind(part) } else { window.find(part) };
        at.map(|at| start + window[..at].chars().count() as i128)
    });
    match found {
        Some(index) => Ok(Value::Int(index)),
        None if name.ends_with("index") => value_error("substring not found"),
        None => Ok(Value::Int(-1)),
    }
}
