//! Python's `str` and `repr`.

use std::fmt::Write;

use super::{Value, View, number::float_repr};
use crate::python::unicode::is_printable;

/// `str(value)`.
pub(crate) fn to_str(value: &Value) -> String {
    match value {
        Value::Undefined(_) => String::new(),
        Value::Str(text) | Value::Markup(text) => text.to_string(),
        _ => repr(value),
    }
}

/// `repr(value)`.
pub(crate) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        Value::Int(value) => _ = write!(out, "{value}"),
        Value::Float(value) => out.push_str(&float_repr(*value)),
        Value::Str(text) => out.push_str(&repr_str(text)),
        Value::Markup(text) => _ = write!(out, "Markup({})", repr_str(text)),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::List(items) => write_items(out, "[", items, "]"),
        Value::Tuple(items) | Value::Group(items) => {
            write_items(out, "(", items, if items.len() == 1 { ",)" } else { ")" });
        }
        Value::Dict(dict) => {
            out.push('{');
            for (index, (key, value)) in dict.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, key);
                out.push_str(": ");
                write_repr(out, value);
            }
            out.push('}');
        }
        Value::View(kind, dict) => {
            _ = write!(out, "{}(", value.type_name());
            let items: Vec<Value> = match kind {
                View::Keys => dict.keys().cloned().collect(),
                View::Values => dict.iter().map(|(_, value)| value.clone()).collect(),
                View::Items => dict.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect(),
            };
            write_items(out, "[", &items, "])");
        }
        Value::Range(range) => {
            _ = write!(out, "range({}, {}", range.start, range.stop);
            if range.step != 1 {
                _ = write!(out, ", {}", range.step);
            }
            out.push(')');
        }
        Value::Namespace(attributes) => {
            out.push_str("<Namespace ");
            // One that holds itself has no end in Python.
            match attributes.try_borrow_mut() {
                Ok(attributes) => {
                    let dict = Value::dict(attributes.clone());
                    drop(attributes);
                    write_repr(out, &dict);
                }
                Err(_) => out.push_str("..."),
            }
            out.push('>');
        }
        Value::Loop(state) => _ = write!(out, "<LoopContext {}/{}>", state.index(), state.length()),
        Value::Macro(node) => match node.name() {
            Some(name) => _ = write!(out, "<Macro {}>", repr_str(name)),
            None => out.push_str("<Macro anonymous>"),
        },
        // In Python these have the address of an object, which is never the same twice.
        Value::Function(name) => _ = write!(out, "<function {name}>"),
        Value::Method(method) => {
            _ = write!(out, "<built-in method {} of {} object>", method.1, method.0.type_name());
        }
        Value::Iter(_) | Value::Cycler(_) | Value::Joiner(_) => _ = write!(out, "<{} object>", value.type_name()),
    }
}

fn write_items(out: &mut String, open: &str, items: &[Value], close: &str) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, item);
    }
    out.push_str(close);
}

/// `repr` of a text: in single quotes, unless it has these and no double ones.
pub(crate) fn repr_str(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => out.extend(['\\', letter]),
            _ if is_printable(letter) => out.push(letter),
            _ => _ = write!(out, "{}", escaped(letter)),
        }
    }
    out.push(quote);
    out
}

/// `\x7f`, `\u2028`, `\U000e0001`.
pub(crate) fn escaped(letter: char) -> String {
    match letter as u32 {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ if char::from(byte) == quote => out.extend(['\\', quote]),
            b' '..=b'~' => out.push(byte.into()),
            _ => _ = write!(out, "\\x{byte:02x}"),
        }
    }
    out.push(quote);
}
