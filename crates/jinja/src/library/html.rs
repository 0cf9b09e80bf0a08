//! Filters for HTML and for addresses.

use std::{fmt::Write, rc::Rc};

use super::is_set;
use crate::{
    error::{Result, refused, type_error, value_error},
    python::unicode::is_space,
    render::Args,
    values::{Value, iterate, to_str},
};

pub(super) fn filter(name: &str, value: Value, args: Args) -> Result<Value> {
    match name {
        "safe" => {
            args.positional::<0>(name, 0)?;
            Ok(if matches!(value, Value::Markup(_)) { value } else { Value::Markup(to_str(&value).into()) })
        }
        "e" | "escape" => {
            args.positional::<0>(name, 0)?;
            escape(&value).map(Value::Markup)
        }
        "forceescape" => {
            args.positional::<0>(name, 0)?;
            escape(&Value::str(to_str(&value))).map(Value::Markup)
        }
        "striptags" => {
            args.positional::<0>(name, 0)?;
            strip_tags(&to_str(&value)).map(Value::str)
        }
        "urlencode" => {
            args.positional::<0>(name, 0)?;
            url_encode(&value).map(Value::str)
        }
        "xmlattr" => {
            let [space] = args.bind(name, ["autospace"], 0)?;
            let space = space.is_none() || is_set(&space);
            xml_attributes(&value, space).map(Value::str)
        }
        _ => refused(format!("the filter {name} is not supported: prompts are no HTML")),
    }
}

/// A text in which nothing is markup, unless it was marked so.
pub(crate) fn escape(value: &Value) -> Result<Rc<str>> {
    if let Value::Markup(text) = value {
        return Ok(text.clone());
    }
    let mut out = String::new();
    for letter in to_str(value).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            _ => out.push(letter),
        }
    }
    Ok(out.into())
}

/// Without tags and comments, whitespace as single blanks, and with the characters that escapes stand for.
fn strip_tags(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at..];
        let end = match tag.strip_prefix("<!--") {
            Some(inside) => inside.find("-->").map(|end| end + 7),
            None => tag.find('>').map(|end| end + 1),
        };
        let Some(end) = end else { break };
        out.push_str(&rest[..at]);
        rest = &tag[end..];
    }
    out.push_str(rest);
    let words: Vec<&str> = out.split(is_space).filter(|word| !word.is_empty()).collect();
    unescape(&words.join(" "))
}

fn unescape(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !"&#".contains(letter));
        let name = &rest[1..end.unwrap_or(rest.len())];
        let code = match (name.strip_prefix("#x").or(name.strip_prefix("#X")), name.strip_prefix('#')) {
            (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
            (None, Some(decimal)) => decimal.parse().ok(),
            _ => None,
        };
        let letter = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "nbsp" => Some('\u{a0}'),
            _ => code.and_then(char::from_u32),
        };
        match (letter, end.filter(|end| rest[*end..].starts_with(';'))) {
            (Some(letter), Some(end)) => {
                out.push(letter);
                rest = &rest[end + 1..];
            }
            (None, Some(_)) if !name.is_empty() => {
                return refused(format!("striptags does not know the character &{name};"));
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn url_encode(value: &Value) -> Result<String> {
    let pairs = match value {
        Value::Dict(dict) => dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Value::Str(_) | Value::Markup(_) => return Ok(quote(&to_str(value), false)),
        _ => match iterate(value) {
            Err(_) => return Ok(quote(&to_str(value), false)),
            Ok(items) => {
                let mut pairs = Vec::new();
                for item in items {
                    let [key, value] = iterate(&item)?
                        .try_into()
                        .or_else(|items: Vec<Value>| value_error(format!("not a pair but {} values", items.len())))?;
                    pairs.push((key, value));
                }
                pairs
            }
        },
    };
    let quoted = |value: &Value| quote(&to_str(value), true);
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{}={}", quoted(key), quoted(value))).collect();
    Ok(pairs.join("&"))
}

fn quote(text: &str, query: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(byte.into()),
            b'/' if !query => out.push('/'),
            b' ' if query => out.push('+'),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out
}

fn xml_attributes(value: &Value, space: bool) -> Result<String> {
    value.check_defined()?;
    let Value::Dict(dict) = value else {
        return type_error(format!("'{}' object has no attribute 'items'", value.type_name()));
    };
    let mut parts = Vec::new();
    for (key, value) in dict.iter() {
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let Some(name) = key.as_str() else {
            return type_error("expected string or bytes-like object");
        };
        if name.contains([' ', '\t', '\n', '\r', '\x0b', '\x0c', '/', '>', '=']) {
            return value_error(format!("Invalid character in attribute name: {name:?}"));
        }
        parts.push(format!("{}=\"{}\"", escape(key)?, escape(value)?));
    }
    let text = parts.join(" ");
    Ok(if space && !text.is_empty() { format!(" {text}") } else { text })
}
