//! Python's operators.

use std::rc::Rc;

use super::Value;
use crate::{
    error::{Error, ErrorKind, Result, refused, type_error},
    library::escape,
    python::percent,
    syntax::ast::Binary,
};

/// More than any prompt has.
const MAX_BYTES: usize = 1 << 28;

/// # Errors
/// Types that the operator does not take; a result that is too large.
pub(crate) fn binary(operator: Binary, a: &Value, b: &Value) -> Result<Value> {
    use Value::*;
    match (operator, a, b) {
        (Binary::Mod, Str(format), _) => return percent::format(format, b, false).map(Value::str),
        (Binary::Mod, Markup(format), _) => {
            return percent::format(format, b, true).map(|text| Markup(text.into()));
        }
        _ => {}
    }
    a.check_defined()?;
    b.check_defined()?;
    match (operator, a, b) {
        (Binary::Add, Str(a), Str(b)) => return joined(a, b).map(Str),
        (Binary::Add, Markup(x), Str(_) | Markup(_)) => return joined(x, &escape(b)?).map(Markup),
        (Binary::Add, Str(_), Markup(y)) => return joined(&escape(a)?, y).map(Markup),
        (Binary::Add, Bytes(a), Bytes(b)) => return Ok(Bytes([a.as_ref(), b.as_ref()].concat().into())),
        (Binary::Add, List(a), List(b)) => return Ok(Value::list([a.as_slice(), b.as_slice()].concat())),
        (Binary::Add, Tuple(a) | Group(a), Tuple(b) | Group(b)) => {
            return Ok(Value::tuple([a.as_slice(), b.as_slice()].concat()));
        }
        (Binary::Mul, list, times) | (Binary::Mul, times, list)
            if times.as_int().is_some() && (list.as_str().is_some() || list.as_items().is_some()) =>
        {
            return repeat(list, times.as_int().unwrap_or(0));
        }
        _ => {}
    }
    if let (Some(x), Some(y)) = (a.as_int(), b.as_int()) {
        return integers(operator, x, y);
    }
    if let (Some(x), Some(y)) = (a.as_float(), b.as_float()) {
        return floats(operator, x, y).map(Float);
    }
    type_error(format!(
        "unsupported operand type(s) for {}: '{}' and '{}'",
        sign(operator),
        a.type_name(),
        b.type_name()
    ))
}

fn sign(operator: Binary) -> &'static str {
    match operator {
        Binary::Add => "+",
        Binary::Sub => "-",
        Binary::Mul => "*",
        Binary::Div => "/",
        Binary::FloorDiv => "//",
        Binary::Mod => "%",
        Binary::Pow => "** or pow()",
    }
}

fn joined(a: &str, b: &str) -> Result<Rc<str>> {
    if a.len() + b.len() > MAX_BYTES {
        return refused("a text of more than 256 MiB");
    }
    Ok([a, b].concat().into())
}

fn repeat(list: &Value, times: i128) -> Result<Value> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    let size = list.as_str().map_or_else(|| list.as_items().map_or(0, <[Value]>::len) * 16, str::len);
    if size.checked_mul(times).is_none_or(|bytes| bytes > MAX_BYTES) {
        return refused(format!("a {} of more than 256 MiB", list.type_name()));
    }
    Ok(match list {
        Value::Str(text) => Value::str(text.repeat(times)),
        Value::Markup(text) => Value::Markup(text.repeat(times).into()),
        Value::List(items) => Value::list(items.iter().cloned().cycle().take(items.len() * times).collect()),
        Value::Tuple(items) | Value::Group(items) => {
            Value::tuple(items.iter().cloned().cycle().take(items.len() * times).collect())
        }
        _ => Value::None,
    })
}

fn integers(operator: Binary, a: i128, b: i128) -> Result<Value> {
    let zero = |what: &str| Err(Error::new(ErrorKind::Value, what));
    let result = match operator {
        Binary::Add => a.checked_add(b),
        Binary::Sub => a.checked_sub(b),
        Binary::Mul => a.checked_mul(b),
        Binary::Div if b == 0 => return zero("division by zero"),
        Binary::Div => return Ok(Value::Float(a as f64 / b as f64)),
        Binary::FloorDiv | Binary::Mod if b == 0 => return zero("integer division or modulo by zero"),
        Binary::FloorDiv => a.checked_div_euclid(b).map(|quotient| {
            // Euclid's remainder is never negative, Python's has the sign of b.
            if b < 0 && a.rem_euclid(b) != 0 { quotient - 1 } else { quotient }
        }),
        Binary::Mod => a.checked_rem_euclid(b).map(|rest| if b < 0 && rest != 0 { rest + b } else { rest }),
        Binary::Pow if b < 0 => return floats(operator, a as f64, b as f64).map(Value::Float),
        Binary::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    match result {
        Some(value) => Ok(Value::Int(value)),
        None => refused(format!("{a} {} {b} is larger than any number a prompt needs", sign(operator))),
    }
}

fn floats(operator: Binary, a: f64, b: f64) -> Result<f64> {
    let zero = |what: &str| Err(Error::new(ErrorKind::Value, what));
    Ok(match operator {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div if b == 0.0 => return zero("float division by zero"),
        Binary::Div => a / b,
        Binary::FloorDiv if b == 0.0 => return zero("float floor division by zero"),
        Binary::Mod if b == 0.0 => return zero("float modulo"),
        Binary::FloorDiv => divmod(a, b).0,
        Binary::Mod => divmod(a, b).1,
        Binary::Pow if a == 0.0 && b < 0.0 => return zero("0.0 cannot be raised to a negative power"),
        Binary::Pow if a < 0.0 && b.is_finite() && b.fract() != 0.0 => {
            return refused("complex numbers are not supported");
        }
        Binary::Pow => {
            let power = a.powf(b);
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return zero("(34, 'Numerical result out of range')");
            }
            power
        }
    })
}

/// Python's `divmod` of floats (`Objects/floatobject.c`).
fn divmod(a: f64, b: f64) -> (f64, f64) {
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 {
        if (b < 0.0) != (rest < 0.0) {
            rest += b;
            quotient -= 1.0;
        }
    } else {
        rest = 0.0f64.copysign(b);
    }
    if quotient == 0.0 {
        return (0.0f64.copysign(a / b), rest);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, rest)
}

/// # Errors
/// Not a number.
pub(crate) fn negative(value: &Value) -> Result<Value> {
    value.check_defined()?;
    match value {
        Value::Float(value) => Ok(Value::Float(-value)),
        _ => match value.as_int() {
            Some(value) => Ok(Value::Int(-value)),
            None => type_error(format!("bad operand type for unary -: '{}'", value.type_name())),
        },
    }
}

/// # Errors
/// Not a number.
pub(crate) fn positive(value: &Value) -> Result<Value> {
    value.check_defined()?;
    match value {
        Value::Float(_) => Ok(value.clone()),
        _ => match value.as_int() {
            Some(value) => Ok(Value::Int(value)),
            None => type_error(format!("bad operand type for unary +: '{}'", value.type_name())),
        },
    }
}
