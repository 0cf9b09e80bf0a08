//! Tests: what stands behind `is`.

use super::is_filter;
use crate::{
    error::{Error, ErrorKind, Result},
    python::strings::{is_lower_text, is_upper_text},
    render::{Args, compare},
    syntax::ast::{Binary, Compare},
    values::{Value, binary, check_hashable, equal, same, to_str},
};

const TESTS: [&str; 39] = [
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    ">=",
    "<",
    "lt",
    "lessthan",
    "<=",
    "le",
];

pub(crate) fn is_test(name: &str) -> bool {
    TESTS.contains(&name)
}

/// `value is name(args)`
///
/// # Errors
/// What the test raises; there is no such test.
pub(crate) fn test(name: &str, value: &Value, args: Args) -> Result<Value> {
    let operator = match name {
        "==" | "eq" | "equalto" => Some(Compare::Eq),
        "!=" | "ne" => Some(Compare::Ne),
        ">" | "gt" | "greaterthan" => Some(Compare::Gt),
        ">=" | "ge" => Some(Compare::Ge),
        "<" | "lt" | "lessthan" => Some(Compare::Lt),
        "<=" | "le" => Some(Compare::Le),
        "in" => Some(Compare::In),
        _ => None,
    };
    if let Some(operator) = operator {
        let [other] = args.positional(name, 1)?;
        return compare(operator, value, &other.unwrap_or(Value::None)).map(Value::Bool);
    }
    if matches!(name, "divisibleby" | "sameas") {
        let [other] = args.bind(name, [if name == "sameas" { "other" } else { "num" }], 1)?;
        let other = other.unwrap_or(Value::None);
        return Ok(Value::Bool(match name {
            "sameas" => same(value, &other),
            _ => equal(&binary(Binary::Mod, value, &other)?, &Value::Int(0)),
        }));
    }
    if !is_test(name) {
        return Err(Error::new(ErrorKind::Refused, format!("No test named {name:?} found.")));
    }
    args.positional::<0>(name, 0)?;
    let remainder = || binary(Binary::Mod, value, &Value::Int(2));
    Ok(Value::Bool(match name {
        "odd" => equal(&remainder()?, &Value::Int(1)),
        "even" => equal(&remainder()?, &Value::Int(0)),
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "filter" | "test" => {
            check_hashable(value)?;
            value.as_str().is_some_and(if name == "test" { is_test } else { is_filter })
        }
        "none" => value.is_none(),
        "boolean" => matches!(value, Value::Bool(_)),
        "false" => matches!(value, Value::Bool(false)),
        "true" => matches!(value, Value::Bool(true)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "lower" => is_lower_text(&to_str(value)),
        "upper" => is_upper_text(&to_str(value)),
        "string" => value.as_str().is_some(),
        "mapping" => matches!(value, Value::Dict(_)),
        "number" => matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_)),
        "sequence" => matches!(
            value,
            Value::Str(_)
                | Value::Markup(_)
                | Value::Bytes(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Group(_)
                | Value::Dict(_)
                | Value::Range(_)
                | Value::Undefined(_)
        ),
        "iterable" => {
            value.as_str().is_some()
                || value.as_items().is_some()
                || matches!(
                    value,
                    Value::Bytes(_)
                        | Value::Dict(_)
                        | Value::View(..)
                        | Value::Range(_)
                        | Value::Iter(_)
                        | Value::Loop(_)
                        | Value::Undefined(_)
                )
        }
        "callable" => value.is_callable(),
        _ => matches!(value, Value::Markup(_)),
    }))
}
