//! `text % values`, as in C's `printf`. Source: `unicode_format` in `Objects/unicodeobject.c`.

use super::{int_of, spec, strings::pad, width_of};
use crate::{
    error::{Error, ErrorKind, Result, type_error, value_error},
    library::escape,
    values::{self, Value, repr, to_str},
};

/// One `%` with what stands behind it.
#[derive(Default)]
struct Conversion {
    left: bool,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// The values, one after the other or by name.
struct Values<'v> {
    all: &'v Value,
    next: usize,
}

/// # Errors
/// Too few or too many values, or of the wrong types; a format that is none.
pub(crate) fn format(text: &str, all: &Value, marked: bool) -> Result<String> {
    let mut values = Values { all, next: 0 };
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let mut conversion = Conversion::default();
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('%') {
            out.push('%');
            rest = behind;
            continue;
        }
        let mut named = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let Some(end) = closing(inside) else {
                return value_error("incomplete format key");
            };
            named = Some(values.named(&inside[..end])?);
            rest = &inside[end + 1..];
        }
        while let Some(flag) = rest.chars().next().filter(|flag| "-+ #0".contains(*flag)) {
            match flag {
                '-' => conversion.left = true,
                '+' => conversion.sign = Some('+'),
                ' ' => conversion.sign = conversion.sign.or(Some(' ')),
                '#' => conversion.alternate = true,
                _ => conversion.zero = true,
            }
            rest = &rest[1..];
        }
        if let Some(width) = number(&mut rest, &mut values)? {
            conversion.left |= width < 0;
            conversion.width = width_of(&Value::Int(width.abs()))?;
        }
        if let Some(behind) = rest.strip_prefix('.') {
            rest = behind;
            let precision = number(&mut rest, &mut values)?.unwrap_or(0);
            conversion.precision = Some(width_of(&Value::Int(precision.max(0)))?);
        }
        rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
        let Some(kind) = rest.chars().next() else {
            return value_error("incomplete format");
        };
        rest = &rest[kind.len_utf8()..];
        let value = match named {
            Some(value) => value,
            None => values.next()?,
        };
        out.push_str(&conversion.format(kind, &value, marked)?);
    }
    out.push_str(rest);
    values.finish()?;
    Ok(out)
}

/// Where the parenthesis that stands before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    text.char_indices().find_map(|(at, letter)| {
        open += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        (open == 0).then_some(at)
    })
}

/// A number, or `*`: the next value.
fn number(rest: &mut &str, values: &mut Values<'_>) -> Result<Option<i128>> {
    if let Some(behind) = rest.strip_prefix('*') {
        *rest = behind;
        return match values.next()?.as_int() {
            Some(value) => Ok(Some(value)),
            None => type_error("* wants int"),
        };
    }
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(end);
    *rest = behind;
    match digits.parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) if digits.is_empty() => Ok(None),
        Err(_) => value_error("width too big"),
    }
}

impl Values<'_> {
    fn is_mapping(&self) -> bool {
        matches!(self.all, Value::Dict(_) | Value::List(_) | Value::Range(_) | Value::Bytes(_) | Value::Undefined(_))
    }

    fn named(&mut self, name: &str) -> Result<Value> {
        if !self.is_mapping() {
            return type_error("format requires a mapping");
        }
        self.all.check_defined()?;
        let Value::Dict(dict) = self.all else {
            return type_error(format!("{} indices must be integers or slices, not str", self.all.type_name()));
        };
        match dict.get_str(name) {
            Some(value) => Ok(value.clone()),
            None => Err(Error::new(ErrorKind::Value, format!("KeyError: {}", values::repr_str(name)))),
        }
    }

    fn next(&mut self) -> Result<Value> {
        let index = self.next;
        self.next += 1;
        let value = match self.all {
            Value::Tuple(items) | Value::Group(items) => items.get(index),
            value => (index == 0).then_some(value),
        };
        match value {
            Some(value) => Ok(value.clone()),
            None => type_error("not enough arguments for format string"),
        }
    }

    fn finish(&self) -> Result<()> {
        let count = match self.all {
            Value::Tuple(items) | Value::Group(items) => items.len(),
            _ if self.is_mapping() => 0,
            _ => 1,
        };
        if self.next < count {
            return type_error("not all arguments converted during string formatting");
        }
        Ok(())
    }
}

impl Conversion {
    fn format(&self, kind: char, value: &Value, marked: bool) -> Result<String> {
        let text = match kind {
            's' if marked => escape(value)?.to_string(),
            's' => to_str(value),
            'r' | 'a' => {
                let text = repr(value);
                if kind == 'a' { spec::ascii(&text) } else { text }
            }
            'c' => match (value.as_str(), value.as_int()) {
                (Some(text), _) if text.chars().count() == 1 => text.to_owned(),
                (_, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                    Some(letter) => letter.to_string(),
                    None => return value_error("%c arg not in range(0x110000)"),
                },
                _ => return type_error("%c requires int or char"),
            },
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => return self.integer(kind, value),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                value.check_defined()?;
                let Some(number) = value.as_float() else {
                    return type_error(format!("must be real number, not {}", value.type_name()));
                };
                let digits = spec::float_digits(number, kind, self.precision.unwrap_or(6), self.alternate);
                return Ok(self.numeric(number.is_sign_negative() && !number.is_nan(), "", &digits));
            }
            _ => return value_error(format!("unsupported format character {kind:?}")),
        };
        let text = match self.precision {
            Some(most) if kind != 'c' => text.chars().take(most).collect(),
            _ => text,
        };
        pad(&text, if self.left { "ljust" } else { "rjust" }, self.width, None)
    }

    fn integer(&self, kind: char, value: &Value) -> Result<String> {
        value.check_defined()?;
        let decimal = matches!(kind, 'd' | 'i' | 'u');
        let number = match value {
            Value::Float(number) if decimal && number.is_nan() => {
                return value_error("cannot convert float NaN to integer");
            }
            Value::Float(number) if decimal && number.is_infinite() => {
                return value_error("cannot convert float infinity to integer");
            }
            Value::Float(number) if decimal => *number as i128,
            Value::Int(_) | Value::Bool(_) => int_of(value)?,
            _ => {
                let wanted = if decimal { "a real number" } else { "an integer" };
                return type_error(format!("%{kind} format: {wanted} is required, not {}", value.type_name()));
            }
        };
        let magnitude = number.unsigned_abs();
        let (prefix, digits) = match kind {
            'o' => ("0o", format!("{magnitude:o}")),
            'x' => ("0x", format!("{magnitude:x}")),
            'X' => ("0X", format!("{magnitude:X}")),
            _ => ("", magnitude.to_string()),
        };
        let missing = self.precision.unwrap_or(0).saturating_sub(digits.len());
        let digits = "0".repeat(missing) + &digits;
        Ok(self.numeric(number < 0, if self.alternate { prefix } else { "" }, &digits))
    }

    /// Sign, prefix and digits, padded.
    fn numeric(&self, negative: bool, prefix: &str, digits: &str) -> String {
        let sign = match (negative, self.sign) {
            (true, _) => "-".to_owned(),
            (false, sign) => sign.map(String::from).unwrap_or_default(),
        };
        let missing = self.width.saturating_sub(sign.len() + prefix.len() + digits.len());
        if self.left {
            format!("{sign}{prefix}{digits}{}", " ".repeat(missing))
        } else if self.zero {
            format!("{sign}{prefix}{}{digits}", "0".repeat(missing))
        } else {
            format!("{}{sign}{prefix}{digits}", " ".repeat(missing))
        }
    }
}
