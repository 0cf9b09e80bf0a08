//! What Jinja and `transformers` give to templates. Source: `jinja2/filters.py`, `jinja2/tests.py`, `jinja2/utils.py`,
//! `transformers/utils/chat_template_utils.py`.

mod globals;
mod groups;
mod html;
mod json;
mod numbers;
mod select;
mod sequences;
mod tests;
mod texts;

pub(crate) use globals::{call as call_global, global};
pub(crate) use html::escape;
pub(crate) use tests::{is_test, test};

use crate::{
    error::{Error, ErrorKind, Result, refused},
    render::{Args, Renderer},
    values::Value,
};

const FILTERS: [&str; 54] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

pub(crate) fn is_filter(name: &str) -> bool {
    FILTERS.contains(&name)
}

/// `value|name(args)`
///
/// # Errors
/// What the filter raises; there is no such filter.
pub(crate) fn filter(renderer: &mut Renderer<'_>, name: &str, value: Value, args: Args) -> Result<Value> {
    match name {
        "abs" | "filesizeformat" | "float" | "int" | "round" | "sum" => numbers::filter(name, &value, args),
        "batch" | "count" | "dictsort" | "first" | "items" | "last" | "length" | "list" | "random" | "reverse"
        | "slice" => sequences::filter(name, value, args),
        "groupby" | "max" | "min" | "sort" | "unique" => groups::filter(name, &value, args),
        "map" | "reject" | "rejectattr" | "select" | "selectattr" => select::filter(renderer, name, &value, args),
        "e" | "escape" | "forceescape" | "safe" | "striptags" | "urlencode" | "urlize" | "xmlattr" => {
            html::filter(name, value, args)
        }
        "attr" | "capitalize" | "center" | "d" | "default" | "format" | "indent" | "join" | "lower" | "replace"
        | "string" | "title" | "trim" | "truncate" | "upper" | "wordcount" => texts::filter(name, value, args),
        "pprint" | "wordwrap" => refused(format!("the filter {name} is not supported")),
        "tojson" => json::tojson(&value, args),
        _ => Err(Error::new(ErrorKind::Refused, format!("No filter named {name:?} found."))),
    }
}

/// `a.b.0`: the value at the end of a path, by the rules of `value[key]`.
pub(super) fn at_path(value: &Value, path: &Value, default: Option<&Value>) -> Result<Value> {
    let parts: Vec<Value> = match path.as_str() {
        Some(path) => path.split('.').map(part).collect(),
        None if path.is_none() => Vec::new(),
        None => vec![path.clone()],
    };
    let mut value = value.clone();
    for part in parts {
        value = crate::values::item(&value, &part)?;
        if let Some(default) = default.filter(|default| value.is_undefined() && !default.is_none()) {
            value = default.clone();
        }
    }
    Ok(value)
}

fn part(text: &str) -> Value {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { text.parse().map_or_else(|_| Value::str(text), Value::Int) } else { Value::str(text) }
}

/// A text in small letters; other values stay.
pub(super) fn ignore_case(value: Value) -> Value {
    match &value {
        Value::Str(text) | Value::Markup(text) => Value::str(text.to_lowercase()),
        _ => value,
    }
}

/// Whether an argument is there and true.
pub(super) fn is_set(argument: &Option<Value>) -> bool {
    argument.as_ref().is_some_and(Value::is_true)
}
