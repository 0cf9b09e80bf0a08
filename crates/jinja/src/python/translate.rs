//! The methods of `str` that put letters in the place of others.

use super::text_of;
use crate::{
    error::{Result, type_error, value_error},
    render::Args,
    values::{Dict, Value, iterate},
};

pub(super) fn call(text: &str, name: &str, args: Args) -> Result<Value> {
    if name == "maketrans" {
        return maketrans(args);
    }
    let [table] = args.positional(name, 1)?;
    translate(text, &table.unwrap_or(Value::None)).map(Value::str)
}

fn maketrans(args: Args) -> Result<Value> {
    let [from, to, drop] = args.positional("maketrans", 1)?;
    let from = from.unwrap_or(Value::None);
    let mut table = Dict::new();
    let code = |letter: char| Value::Int(letter as i128);
    let Some(to) = to else {
        let Value::Dict(pairs) = &from else {
            return type_error("if you give only one argument to maketrans it must be a dict");
        };
        for (key, value) in pairs.iter() {
            let mut letters = key.as_str().into_iter().flat_map(str::chars);
            let key = match (key.as_int(), letters.next(), letters.next()) {
                (Some(key), ..) => Value::Int(key),
                (_, Some(letter), None) => code(letter),
                (_, Some(_), _) => return value_error("string keys in translate table must be of length 1"),
                _ => return type_error("keys in translate table must be strings or integers"),
            };
            table.insert(key, value.clone())?;
        }
        return Ok(Value::dict(table));
    };
    let (from, to) = (text_of(&from, "maketrans")?, text_of(&to, "maketrans")?);
    if from.chars().count() != to.chars().count() {
        return value_error("the first two maketrans arguments must have equal length");
    }
    for (from, to) in from.chars().zip(to.chars()) {
        table.insert(code(from), code(to))?;
    }
    if let Some(drop) = drop {
        for letter in text_of(&drop, "maketrans")?.chars() {
            table.insert(code(letter), Value::None)?;
        }
    }
    Ok(Value::dict(table))
}

fn translate(text: &str, table: &Value) -> Result<String> {
    let mut out = String::new();
    for letter in text.chars() {
        let code = letter as i128;
        let found = match table {
            Value::Dict(table) => table.get(&Value::Int(code)).cloned(),
            _ if table.as_str().is_some() || table.as_items().is_some() => {
                iterate(table)?.into_iter().nth(code as usize)
            }
            _ => return type_error(format!("'{}' object is not subscriptable", table.type_name())),
        };
        match found {
            None => out.push(letter),
            Some(Value::None) => {}
            Some(value) => match (value.as_str(), value.as_int()) {
                (Some(text), _) => out.push_str(text),
                (_, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                    Some(letter) => out.push(letter),
                    None => return value_error("character mapping must be in range(0x110000)"),
                },
                _ => return type_error("character mapping must return integer, None or str"),
            },
        }
    }
    Ok(out)
}
