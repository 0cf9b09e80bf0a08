//! Filters of lists.

use super::{ignore_case, is_set};
use crate::{
    error::{Result, refused, type_error, value_error},
    python::int_of,
    render::Args,
    values::{Value, iterate, length, order},
};

pub(super) fn filter(name: &str, value: Value, args: Args) -> Result<Value> {
    match name {
        "count" | "length" => {
            args.positional::<0>(name, 0)?;
            length(&value).map(|length| Value::Int(length as i128))
        }
        "first" => {
            args.positional::<0>(name, 0)?;
            let none = || Value::undefined("No first item, sequence was empty.");
            if let Value::Iter(iter) = &value {
                return Ok(iter.next()?.unwrap_or_else(none));
            }
            Ok(iterate(&value)?.into_iter().next().unwrap_or_else(none))
        }
        "last" => {
            args.positional::<0>(name, 0)?;
            let items = reversible(&value)?;
            Ok(items.into_iter().next_back().unwrap_or_else(|| Value::undefined("No last item, sequence was empty.")))
        }
        "list" => {
            args.positional::<0>(name, 0)?;
            iterate(&value).map(Value::list)
        }
        "items" => {
            args.positional::<0>(name, 0)?;
            let pairs: Vec<_> = match &value {
                Value::Undefined(_) => Vec::new(),
                Value::Dict(dict) => {
                    dict.iter().map(|(key, value)| Ok(Value::tuple(vec![key.clone(), value.clone()]))).collect()
                }
                _ => vec![type_error("Can only get item pairs from a mapping.")],
            };
            Ok(Value::iter("generator", pairs))
        }
        "reverse" => {
            args.positional::<0>(name, 0)?;
            if let Some(text) = value.as_str() {
                return Ok(Value::str(text.chars().rev().collect::<String>()));
            }
            let kind = match &value {
                Value::List(_) => "list_reverseiterator",
                Value::Dict(_) | Value::View(..) => "dict_reversekeyiterator",
                Value::Range(_) => "range_iterator",
                _ => "reversed",
            };
            match reversible(&value) {
                Ok(items) => Ok(Value::iter(kind, items.into_iter().rev().map(Ok))),
                Err(_) => {
                    let mut items = iterate(&value)?;
                    items.reverse();
                    Ok(Value::list(items))
                }
            }
        }
        "dictsort" => dict_sort(&value, args),
        "batch" => {
            let [size, fill] = args.bind(name, ["linecount", "fill_with"], 1)?;
            let size = int_of(&size.unwrap_or(Value::None))?;
            batch(&iterate(&value)?, size, fill.unwrap_or(Value::None))
        }
        "slice" => {
            let [slices, fill] = args.bind(name, ["slices", "fill_with"], 1)?;
            let slices = int_of(&slices.unwrap_or(Value::None))?;
            slice(&iterate(&value)?, slices, fill.unwrap_or(Value::None))
        }
        _ => refused(format!("the filter {name} is not supported: it gives another text every time")),
    }
}

/// The items of what Python can reverse: not of iterators.
fn reversible(value: &Value) -> Result<Vec<Value>> {
    match value {
        Value::Iter(_) | Value::Loop(_) => type_error(format!("'{}' object is not reversible", value.type_name())),
        _ => iterate(value),
    }
}

fn dict_sort(value: &Value, args: Args) -> Result<Value> {
    let [case_sensitive, by, reverse] = args.bind("dictsort", ["case_sensitive", "by", "reverse"], 0)?;
    let at = match by.as_ref().map_or(Some("key"), Value::as_str) {
        Some("key") => 0,
        Some("value") => 1,
        _ => return value_error("You can only sort by either \"key\" or \"value\""),
    };
    value.check_defined()?;
    let Value::Dict(dict) = value else {
        return type_error(format!("'{}' object has no attribute 'items'", value.type_name()));
    };
    let pairs = dict.iter().map(|(key, value)| {
        let by = if at == 0 { key } else { value };
        let by = if is_set(&case_sensitive) { by.clone() } else { ignore_case(by.clone()) };
        (by, Value::tuple(vec![key.clone(), value.clone()]))
    });
    sorted(pairs.collect(), is_set(&reverse)).map(Value::list)
}

/// Values by their keys; equal ones keep their order.
pub(super) fn sorted(mut pairs: Vec<(Value, Value)>, reverse: bool) -> Result<Vec<Value>> {
    let mut failed = None;
    let mut compare = |a: &Value, b: &Value| match order(a, b, "<") {
        Ok(ordering) => ordering.unwrap_or(std::cmp::Ordering::Equal),
        Err(error) => {
            failed.get_or_insert(error);
            std::cmp::Ordering::Equal
        }
    };
    if reverse {
        pairs.sort_by(|a, b| compare(&b.0, &a.0));
    } else {
        pairs.sort_by(|a, b| compare(&a.0, &b.0));
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(pairs.into_iter().map(|(_, value)| value).collect()),
    }
}

fn batch(items: &[Value], size: i128, fill: Value) -> Result<Value> {
    // A size below 1 is never reached: one batch, as if there were no end. One of 0 is what is there before the first item.
    let none = size == 0;
    let size = usize::try_from(size).ok().filter(|size| *size > 0);
    let chunks: Vec<&[Value]> = match size {
        Some(size) => items.chunks(size).collect(),
        None if items.is_empty() => Vec::new(),
        None if none => vec![&[], items],
        None => vec![items],
    };
    let fills = !fill.is_none();
    let batches = chunks.into_iter().map(|chunk| {
        let mut batch = chunk.to_vec();
        if let Some(size) = size.filter(|_| fills) {
            batch.resize(size, fill.clone());
        }
        Ok(Value::list(batch))
    });
    Ok(Value::iter("generator", batches))
}

fn slice(items: &[Value], slices: i128, fill: Value) -> Result<Value> {
    if slices == 0 {
        return value_error("integer division or modulo by zero");
    }
    let count = usize::try_from(slices.min(100_000)).unwrap_or(0);
    let mut rest = items;
    let parts = (0..count).map(|number| {
        let extra = number < items.len() % count;
        let (part, behind) = rest.split_at(items.len() / count + usize::from(extra));
        rest = behind;
        let mut part = part.to_vec();
        if !fill.is_none() && !extra {
            part.push(fill.clone());
        }
        Ok(Value::list(part))
    });
    Ok(Value::iter("generator", parts))
}
