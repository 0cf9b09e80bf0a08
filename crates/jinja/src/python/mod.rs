//! The methods of Python's types, and its formats.

mod bytes;
mod collections;
mod numbers;
pub(crate) mod percent;
mod search;
pub(crate) mod spec;
pub(crate) mod split;
mod str_format;
pub(crate) mod strings;
mod translate;
pub(crate) mod unicode;

use crate::{
    error::{Result, refused, type_error},
    render::Args,
    values::{Value, View, repr_str},
};

const STR: [&str; 47] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

fn methods(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Str(_) | Value::Markup(_) => &STR,
        Value::Bytes(_) => &["decode", "hex"],
        Value::List(_) => &["copy", "count", "index"],
        Value::Tuple(_) | Value::Group(_) | Value::Range(_) => &["count", "index"],
        Value::Dict(_) => &["copy", "fromkeys", "get", "items", "keys", "values"],
        Value::View(View::Keys | View::Items, _) => &["isdisjoint"],
        Value::Int(_) | Value::Bool(_) => {
            &["as_integer_ratio", "bit_count", "bit_length", "conjugate", "from_bytes", "to_bytes"]
        }
        Value::Float(_) => &["as_integer_ratio", "conjugate", "fromhex", "hex", "is_integer"],
        Value::Cycler(_) => &["next", "reset"],
        Value::Function("dict") => &["fromkeys"],
        _ => &[],
    }
}

/// Whether Python's type has this method.
pub(crate) fn has_method(value: &Value, name: &str) -> bool {
    methods(value).contains(&name)
}

/// Methods that change a value, which the sandbox hides.
pub(crate) fn changes(value: &Value, name: &str) -> bool {
    let names: &[&str] = match value {
        Value::List(_) => &["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"],
        Value::Dict(_) => &["clear", "pop", "popitem", "setdefault", "update"],
        _ => &[],
    };
    names.contains(&name)
}

/// # Errors
/// What Python's method raises.
pub(crate) fn call_method(value: &Value, name: &str, args: Args) -> Result<Value> {
    match value {
        Value::Str(text) => strings::call(text, name, args, false),
        Value::Markup(text) => strings::call(text, name, args, true),
        Value::Bytes(bytes) => bytes::call(bytes, name, args),
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => numbers::call(value, name, args),
        Value::Loop(state) if name == "cycle" => state.cycle(&args),
        Value::Loop(state) => Ok(state.changed(args)),
        _ => collections::call(value, name, args),
    }
}

pub(super) fn no_method<T>(value: &Value, name: &str) -> Result<T> {
    refused(format!("the method {name} of {} is not supported", value.type_name()))
}

/// An argument that must be a text.
pub(super) fn text_of<'v>(value: &'v Value, function: &str) -> Result<&'v str> {
    value.check_defined()?;
    match value.as_str() {
        Some(text) => Ok(text),
        None => type_error(format!("{function}() argument must be str, not {}", value.type_name())),
    }
}

/// An argument that must be an integer.
pub(crate) fn int_of(value: &Value) -> Result<i128> {
    value.check_defined()?;
    match value.as_int() {
        Some(value) => Ok(value),
        None => type_error(format!("{} object cannot be interpreted as an integer", repr_str(value.type_name()))),
    }
}

/// An integer that counts letters: larger than any text is as good as any larger one.
pub(crate) fn width_of(value: &Value) -> Result<usize> {
    const MOST: i128 = 1 << 26;
    let width = int_of(value)?;
    if width > MOST {
        return refused(format!("a width of {width} letters"));
    }
    Ok(usize::try_from(width).unwrap_or(0))
}
