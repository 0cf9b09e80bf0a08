//! `text.format(...)`. Source: `Lib/string.py`, `Objects/stringlib/unicode_format.h`, and Jinja's sandbox.

use super::spec;
use crate::{
    error::{Error, ErrorKind, Result, value_error},
    values::{self, Value, repr, repr_str, to_str},
};

/// Where named fields come from.
pub(super) enum Named<'v> {
    Args(&'v [(String, Value)]),
    Mapping(&'v Value),
}

/// Fields within the specification of a field within that of a field, and no deeper.
const MAX_DEPTH: usize = 3;

struct Format<'v> {
    positional: &'v [Value],
    named: &'v Named<'v>,
    /// The number of the next `{}`; `None` once a field has a number of its own.
    next: Option<usize>,
}

pub(super) fn format(text: &str, positional: &[Value], named: &Named<'_>) -> Result<String> {
    Format { positional, named, next: Some(0) }.expand(text, MAX_DEPTH)
}

impl Format<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<String> {
        if depth == 0 {
            return value_error("Max string recursion exceeded");
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let sign = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(sign) {
                out.push_str(sign);
                rest = behind;
                continue;
            }
            if sign == "}" {
                return value_error("Single '}' encountered in format string");
            }
            let Some(end) = closing(rest) else {
                return value_error(if rest.is_empty() {
                    "Single '{' encountered in format string"
                } else {
                    "expected '}' before end of string"
                });
            };
            out.push_str(&self.field(&rest[..end], depth)?);
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn field(&mut self, field: &str, depth: usize) -> Result<String> {
        // A bracket may hold the signs that end a name.
        let mut bracket = false;
        let end = field.find(|letter| {
            bracket = if bracket { letter != ']' } else { letter == '[' };
            !bracket && matches!(letter, '!' | ':')
        });
        let (name, behind) = field.split_at(end.unwrap_or(field.len()));
        let mut value = self.value(name)?;
        let mut spec = behind.strip_prefix(':');
        if let Some(conversion) = behind.strip_prefix('!') {
            let Some(kind) = conversion.chars().next() else {
                return value_error("end of string while looking for conversion specifier");
            };
            let text = match kind {
                's' => to_str(&value),
                'r' => repr(&value),
                'a' => spec::ascii(&repr(&value)),
                _ => return value_error(format!("Unknown conversion specifier {kind}")),
            };
            value = Value::str(text);
            spec = match &conversion[kind.len_utf8()..] {
                "" => None,
                more => match more.strip_prefix(':') {
                    Some(spec) => Some(spec),
                    None => return value_error("expected ':' after conversion specifier"),
                },
            };
        }
        let spec = match spec {
            None | Some("") => String::new(),
            Some(spec) => self.expand(spec, depth - 1)?,
        };
        spec::format(&value, &spec)
    }

    /// `name.attribute[key]`
    fn value(&mut self, path: &str) -> Result<Value> {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (first, mut rest) = path.split_at(end);
        let mut value = if path.is_empty() { self.positional(None)? } else { self.first(first)? };
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix('.') {
                let end = behind.find(['.', '[']).unwrap_or(behind.len());
                if end == 0 {
                    return value_error("Empty attribute in format string");
                }
                value = values::attribute(&value, &behind[..end])?;
                rest = &behind[end..];
            } else if let Some((key, behind)) = rest.strip_prefix('[').and_then(|behind| behind.split_once(']')) {
                if key.is_empty() {
                    return value_error("Empty attribute in format string");
                }
                let key = key.parse().map_or_else(|_| Value::str(key), Value::Int);
                value = values::item(&value, &key)?;
                rest = behind;
                if !rest.is_empty() && !rest.starts_with(['.', '[']) {
                    return value_error("Only '.' or '[' may follow ']' in format field specifier");
                }
            } else {
                return value_error("Missing ']' in format string");
            }
        }
        Ok(value)
    }

    fn first(&mut self, name: &str) -> Result<Value> {
        if !name.is_empty() && name.bytes().all(|digit| digit.is_ascii_digit()) {
            return self.positional(Some(name.parse().unwrap_or(usize::MAX)));
        }
        let found = match self.named {
            Named::Args(named) => named.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()),
            Named::Mapping(Value::Dict(dict)) => dict.get_str(name).cloned(),
            Named::Mapping(_) => None,
        };
        found.ok_or_else(|| Error::new(ErrorKind::Value, format!("KeyError: {}", repr_str(name))))
    }

    /// The value with this number, or the next one.
    fn positional(&mut self, index: Option<usize>) -> Result<Value> {
        let index = match (index, self.next) {
            (Some(_), Some(1..)) => {
                return value_error("cannot switch from automatic field numbering to manual field specification");
            }
            (None, None) => {
                return value_error("cannot switch from manual field specification to automatic field numbering");
            }
            (Some(index), _) => {
                self.next = None;
                index
            }
            (None, Some(index)) => {
                self.next = Some(index + 1);
                index
            }
        };
        match self.positional.get(index) {
            Some(value) => Ok(value.clone()),
            None => value_error(format!("Replacement index {index} out of range for positional args tuple")),
        }
    }
}

/// Where the brace that stands before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    text.char_indices().find_map(|(at, letter)| {
        open += match letter {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        (open == 0).then_some(at)
    })
}
