//! Filters of texts.

use super::{at_path, is_set};
use crate::{
    error::{Result, refused, type_error, value_error},
    python::{
        percent, split,
        strings::{capitalize, join, pad},
        unicode::{is_alnum, is_space},
    },
    render::Args,
    values::{self, Value, binary, length, slice, to_str},
};

pub(super) fn filter(name: &str, value: Value, args: Args) -> Result<Value> {
    let text = || to_str(&value);
    match name {
        "attr" => {
            let [attribute] = args.bind(name, ["name"], 1)?;
            let attribute = attribute.unwrap_or(Value::None);
            let Some(attribute) = attribute.as_str() else {
                return type_error("attribute name must be string");
            };
            value.check_defined()?;
            // Only attributes, where the dot would find items too.
            Ok(match &value {
                Value::Dict(dict) if dict.get_str(attribute).is_some() => {
                    let found = values::attribute(&Value::dict(Default::default()), attribute)?;
                    if found.is_undefined() { found } else { values::attribute(&value, attribute)? }
                }
                _ => values::attribute(&value, attribute)?,
            })
        }
        "capitalize" | "lower" | "upper" | "title" => {
            args.positional::<0>(name, 0)?;
            let changed = match name {
                "capitalize" => capitalize(&text()),
                "lower" => text().to_lowercase(),
                "upper" => text().to_uppercase(),
                _ => title(&text()),
            };
            Ok(keep_mark(&value, changed))
        }
        "center" => {
            let [width] = args.bind(name, ["width"], 0)?;
            let width = width.as_ref().map_or(Ok(80), crate::python::width_of)?;
            Ok(keep_mark(&value, pad(&text(), "center", width, None)?))
        }
        "default" | "d" => {
            let [default, boolean] = args.bind(name, ["default_value", "boolean"], 0)?;
            let replaced = value.is_undefined() || is_set(&boolean) && !value.is_true();
            Ok(if replaced { default.unwrap_or_else(|| Value::str("")) } else { value })
        }
        "format" => {
            if !args.positional.is_empty() && !args.named.is_empty() {
                return value_error("can't handle positional and keyword arguments at the same time");
            }
            let values = if args.named.is_empty() {
                Value::tuple(args.positional)
            } else {
                Value::dict(args.named.into_iter().collect())
            };
            let marked = matches!(value, Value::Markup(_));
            Ok(keep_mark(&value, percent::format(&text(), &values, marked)?))
        }
        "indent" => indent(&value, args),
        "join" => {
            let [separator, attribute] = args.bind(name, ["d", "attribute"], 0)?;
            let mut items = values::iterate(&value)?;
            if let Some(attribute) = attribute.filter(|attribute| !attribute.is_none()) {
                items = items.iter().map(|item| at_path(item, &attribute, None)).collect::<Result<_>>()?;
            }
            let texts = items.iter().map(|item| Value::str(to_str(item))).collect();
            let separator = separator.map_or(String::new(), |separator| to_str(&separator));
            join(&separator, &Value::list(texts)).map(Value::str)
        }
        "replace" => {
            let [old, new, count] = args.bind(name, ["old", "new", "count"], 2)?;
            let (old, new) = (old.as_ref().map_or(String::new(), to_str), new.as_ref().map_or(String::new(), to_str));
            let count = match count {
                None | Some(Value::None) => -1,
                Some(count) => crate::python::int_of(&count)?,
            };
            Ok(Value::str(match usize::try_from(count) {
                Ok(count) => text().replacen(&old, &new, count),
                Err(_) => text().replace(&old, &new),
            }))
        }
        "string" => {
            args.positional::<0>(name, 0)?;
            Ok(if matches!(value, Value::Markup(_)) { value } else { Value::str(text()) })
        }
        "trim" => {
            let [letters] = args.bind(name, ["chars"], 0)?;
            let text = text();
            let kept = match letters {
                None | Some(Value::None) => text.trim_matches(is_space),
                Some(letters) => match letters.as_str() {
                    Some(letters) => text.trim_matches(|letter| letters.contains(letter)),
                    None => return type_error("strip arg must be None or str"),
                },
            };
            Ok(keep_mark(&value, kept))
        }
        "truncate" => truncate(&value, args),
        _ => {
            args.positional::<0>(name, 0)?;
            let text = text();
            let words = text.split(|letter| !is_alnum(letter) && letter != '_').filter(|word| !word.is_empty());
            Ok(Value::Int(words.count() as i128))
        }
    }
}

/// A marked text stays marked.
fn keep_mark(before: &Value, text: impl AsRef<str>) -> Value {
    match before {
        Value::Markup(_) => Value::Markup(text.as_ref().into()),
        _ => Value::str(text),
    }
}

/// Each word with a capital: words begin behind whitespace, hyphens and opening brackets.
fn title(text: &str) -> String {
    let begins = |letter: char| is_space(letter) || "-({[<".contains(letter);
    let mut out = String::new();
    let mut word = String::new();
    let mut flush = |word: &mut String| {
        if let Some(first) = word.chars().next() {
            out.push_str(&first.to_uppercase().collect::<String>());
            out.push_str(&word[first.len_utf8()..].to_lowercase());
        }
        word.clear();
    };
    let mut last = None;
    for letter in text.chars() {
        if last.is_some_and(|last| last != begins(letter)) {
            flush(&mut word);
        }
        word.push(letter);
        last = Some(begins(letter));
    }
    flush(&mut word);
    out
}

fn indent(value: &Value, args: Args) -> Result<Value> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"], 0)?;
    let indention = match width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(crate::python::width_of(&width)?),
        },
    };
    let text = binary(crate::syntax::ast::Binary::Add, value, &Value::str("\n"))?;
    let text = to_str(&text);
    let mut lines = split::lines(&text, false).into_iter();
    let mut out = if is_set(&first) { indention.clone() } else { String::new() };
    out.push_str(lines.next().unwrap_or_default());
    for line in lines {
        out.push('\n');
        if is_set(&blank) || !line.is_empty() {
            out.push_str(&indention);
        }
        out.push_str(line);
    }
    Ok(keep_mark(value, out))
}

fn truncate(value: &Value, args: Args) -> Result<Value> {
    let [most, kill, end, leeway] = args.bind("truncate", ["length", "killwords", "end", "leeway"], 0)?;
    let most = most.as_ref().map_or(Ok(255), crate::python::int_of)?;
    let end = end.unwrap_or_else(|| Value::str("..."));
    let leeway = match leeway {
        None | Some(Value::None) => 5,
        Some(leeway) => crate::python::int_of(&leeway)?,
    };
    let end_length = length(&end)? as i128;
    if most < end_length {
        return refused(format!("expected length >= {end_length}, got {most}"));
    }
    if leeway < 0 {
        return refused(format!("expected leeway >= 0, got {leeway}"));
    }
    if length(value)? as i128 <= most + leeway {
        return Ok(value.clone());
    }
    let cut = slice(value, [&Value::None, &Value::Int(most - end_length), &Value::None])?;
    let Some(text) = cut.as_str() else {
        return type_error(format!("'{}' object has no attribute 'rsplit'", cut.type_name()));
    };
    let kept = if is_set(&kill) { text } else { text.rsplit_once(' ').map_or(text, |(kept, _)| kept) };
    binary(crate::syntax::ast::Binary::Add, &keep_mark(value, kept), &end)
}
