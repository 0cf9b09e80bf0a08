//! `tojson` as `transformers` defines it: Python's `json.dumps`, without escapes for HTML.

use std::fmt::Write;

use crate::{
    error::{Result, type_error},
    library::is_set,
    render::Args,
    values::{Value, float_repr, iterate, order},
};

/// The layout.
struct Dumps {
    ascii: bool,
    /// One level of indentation.
    indent: Option<String>,
    item: String,
    key: String,
    sort: bool,
}

/// `value|tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`
pub(super) fn tojson(value: &Value, args: Args) -> Result<Value> {
    let [ascii, indent, separators, sort] =
        args.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"], 0)?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(indent) => match (indent.as_str(), indent.as_int()) {
            (Some(text), _) => Some(text.to_owned()),
            // More than any reader needs, and a bound on memory.
            (_, Some(blanks)) => Some(" ".repeat(blanks.clamp(0, 64) as usize)),
            _ => return type_error("can't multiply sequence by non-int of type 'float'"),
        },
    };
    let (item, key) = match separators {
        None | Some(Value::None) => {
            let item = if indent.is_some() { "," } else { ", " };
            (item.to_owned(), ": ".to_owned())
        }
        Some(separators) => match iterate(&separators)?.as_slice() {
            [item, key] if item.as_str().is_some() && key.as_str().is_some() => {
                (crate::values::to_str(item), crate::values::to_str(key))
            }
            _ => return type_error("separators must be two texts"),
        },
    };
    let dumps = Dumps { ascii: is_set(&ascii), indent, item, key, sort: is_set(&sort) };
    let mut out = String::new();
    dumps.value(&mut out, value, 0)?;
    Ok(Value::str(out))
}

impl Dumps {
    fn value(&self, out: &mut String, value: &Value, depth: usize) -> Result<()> {
        match value {
            Value::None => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => _ = write!(out, "{value}"),
            Value::Float(value) => out.push_str(&float(*value)),
            Value::Str(text) | Value::Markup(text) => self.text(out, text),
            Value::List(items) | Value::Tuple(items) | Value::Group(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.next(out, index, depth + 1);
                    self.value(out, item, depth + 1)?;
                }
                self.close(out, items.is_empty(), depth, ']');
            }
            Value::Dict(dict) => {
                let mut items: Vec<(&Value, &Value)> = dict.iter().collect();
                if self.sort {
                    let mut failed = None;
                    items.sort_by(|a, b| match order(a.0, b.0, "<") {
                        Ok(ordering) => ordering.unwrap_or(std::cmp::Ordering::Equal),
                        Err(error) => {
                            failed.get_or_insert(error);
                            std::cmp::Ordering::Equal
                        }
                    });
                    if let Some(error) = failed {
                        return Err(error);
                    }
                }
                out.push('{');
                for (index, (key, value)) in items.iter().enumerate() {
                    self.next(out, index, depth + 1);
                    match key {
                        Value::Str(text) | Value::Markup(text) => self.text(out, text),
                        Value::None => out.push_str("\"null\""),
                        Value::Bool(value) => _ = write!(out, "\"{value}\""),
                        Value::Int(value) => _ = write!(out, "\"{value}\""),
                        Value::Float(value) => _ = write!(out, "\"{}\"", float(*value)),
                        _ => {
                            return type_error(format!(
                                "keys must be str, int, float, bool or None, not {}",
                                key.type_name()
                            ));
                        }
                    }
                    out.push_str(&self.key);
                    self.value(out, value, depth + 1)?;
                }
                self.close(out, items.is_empty(), depth, '}');
            }
            _ => return type_error(format!("Object of type {} is not JSON serializable", value.type_name())),
        }
        Ok(())
    }

    fn next(&self, out: &mut String, index: usize, depth: usize) {
        if index > 0 {
            out.push_str(&self.item);
        }
        self.line(out, depth);
    }

    fn close(&self, out: &mut String, empty: bool, depth: usize, sign: char) {
        if !empty {
            self.line(out, depth);
        }
        out.push(sign);
    }

    fn line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }

    fn text(&self, out: &mut String, text: &str) {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                _ if letter < ' ' || self.ascii && !(' '..='~').contains(&letter) => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        _ = write!(out, "\\u{unit:04x}");
                    }
                }
                _ => out.push(letter),
            }
        }
        out.push('"');
    }
}

fn float(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => format!("{}Infinity", if value < 0.0 { "-" } else { "" }),
        _ => float_repr(value),
    }
}
