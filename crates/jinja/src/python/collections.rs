//! The methods of `list`, `tuple`, `dict`, `range` and what Jinja adds.

use super::{int_of, no_method};
use crate::{
    error::{Result, value_error},
    render::Args,
    values::{Dict, Value, View, contains, equal, iterate, repr},
};

pub(super) fn call(value: &Value, name: &str, args: Args) -> Result<Value> {
    match (value, name) {
        (Value::List(items), "copy") => {
            args.positional::<0>(name, 0)?;
            Ok(Value::list(items.to_vec()))
        }
        (Value::List(_) | Value::Tuple(_) | Value::Group(_) | Value::Range(_), "count") => {
            let [wanted] = args.positional(name, 1)?;
            let wanted = wanted.unwrap_or(Value::None);
            Ok(Value::Int(iterate(value)?.iter().filter(|item| equal(item, &wanted)).count() as i128))
        }
        (Value::List(_) | Value::Tuple(_) | Value::Group(_) | Value::Range(_), "index") => {
            let [wanted, start, stop] = args.positional(name, 1)?;
            index(value, &wanted.unwrap_or(Value::None), start, stop)
        }
        (Value::Dict(dict), _) => dict_method(value, dict, name, args),
        (Value::Function("dict"), "fromkeys") => from_keys(args),
        (Value::View(..), "isdisjoint") => {
            let [other] = args.positional(name, 1)?;
            for item in iterate(&other.unwrap_or(Value::None))? {
                if contains(value, &item)? {
                    return Ok(Value::Bool(false));
                }
            }
            Ok(Value::Bool(true))
        }
        (Value::Cycler(cycler), "next") => {
            args.positional::<0>(name, 0)?;
            let at = cycler.at.get();
            cycler.at.set((at + 1) % cycler.items.len());
            Ok(cycler.items[at].clone())
        }
        (Value::Cycler(cycler), _) => {
            args.positional::<0>(name, 0)?;
            cycler.at.set(0);
            Ok(Value::None)
        }
        _ => no_method(value, name),
    }
}

fn index(list: &Value, wanted: &Value, start: Option<Value>, stop: Option<Value>) -> Result<Value> {
    let items = iterate(list)?;
    let length = items.len() as i128;
    let bound = |value: Option<Value>, default: i128| match value {
        None => Ok(default),
        Some(value) => int_of(&value).map(|index| if index < 0 { (index + length).max(0) } else { index }),
    };
    let (start, stop) = (bound(start, 0)?, bound(stop, length)?);
    let within = |index: usize| (start..stop).contains(&(index as i128));
    match items.iter().enumerate().position(|(index, item)| within(index) && equal(item, wanted)) {
        Some(index) => Ok(Value::Int(index as i128)),
        None => value_error(format!("{} is not in {}", repr(wanted), list.type_name())),
    }
}

fn dict_method(value: &Value, dict: &std::rc::Rc<Dict>, name: &str, args: Args) -> Result<Value> {
    let view = |kind, args: Args| {
        args.positional::<0>(name, 0)?;
        Ok(Value::View(kind, dict.clone()))
    };
    match name {
        "keys" => view(View::Keys, args),
        "values" => view(View::Values, args),
        "items" => view(View::Items, args),
        "copy" => {
            args.positional::<0>(name, 0)?;
            Ok(Value::dict(dict.as_ref().clone()))
        }
        "get" => {
            let [key, default] = args.positional(name, 1)?;
            let key = key.unwrap_or(Value::None);
            // A list is not a key: an error, and not "not there".
            contains(value, &key)?;
            Ok(dict.get(&key).cloned().or(default).unwrap_or(Value::None))
        }
        "fromkeys" => from_keys(args),
        _ => no_method(value, name),
    }
}

fn from_keys(args: Args) -> Result<Value> {
    let [keys, value] = args.positional("fromkeys", 1)?;
    let keys = keys.unwrap_or(Value::None);
    let value = value.unwrap_or(Value::None);
    let mut dict = Dict::new();
    for key in iterate(&keys)? {
        dict.insert(key, value.clone())?;
    }
    Ok(Value::dict(dict))
}
