//! Filters of numbers.

use super::{at_path, is_set};
use crate::{
    error::{Error, ErrorKind, Result, refused, type_error, value_error},
    python::int_of,
    render::Args,
    syntax::ast::Binary,
    values::{
        Value, binary, iterate,
        number::{parse_float, parse_int},
    },
};

pub(super) fn filter(name: &str, value: &Value, args: Args) -> Result<Value> {
    match name {
        "abs" => {
            args.positional::<0>(name, 0)?;
            value.check_defined()?;
            match (value, value.as_int()) {
                (Value::Float(value), _) => Ok(Value::Float(value.abs())),
                (_, Some(value)) => Ok(Value::Int(value.abs())),
                _ => type_error(format!("bad operand type for abs(): '{}'", value.type_name())),
            }
        }
        "int" => {
            let [default, base] = args.bind(name, ["default", "base"], 0)?;
            let base = base.as_ref().map_or(Ok(10), int_of)?;
            Ok(to_int(value, base)?.unwrap_or(default.unwrap_or(Value::Int(0))))
        }
        "float" => {
            let [default] = args.bind(name, ["default"], 0)?;
            let number = to_float(value)?.map(Value::Float);
            Ok(number.unwrap_or(default.unwrap_or(Value::Float(0.0))))
        }
        "round" => round(value, args),
        "sum" => {
            let [attribute, start] = args.bind(name, ["attribute", "start"], 0)?;
            let mut sum = start.unwrap_or(Value::Int(0));
            if sum.as_str().is_some() {
                return type_error("sum() can't sum strings [use ''.join(seq) instead]");
            }
            for item in iterate(value)? {
                let item = match attribute.as_ref().filter(|attribute| !attribute.is_none()) {
                    Some(attribute) => at_path(&item, attribute, None)?,
                    None => item,
                };
                sum = binary(Binary::Add, &sum, &item)?;
            }
            Ok(sum)
        }
        _ => file_size(value, args),
    }
}

/// `float(value)`; `None` where Python raises an error that the filters catch.
fn to_float(value: &Value) -> Result<Option<f64>> {
    value.check_defined()?;
    Ok(match value.as_str() {
        Some(text) => parse_float(text),
        None => value.as_float(),
    })
}

fn to_int(value: &Value, base: i128) -> Result<Option<Value>> {
    value.check_defined()?;
    let whole = |number: f64| number.is_finite().then(|| number.trunc());
    let (exact, float) = match value.as_str() {
        Some(text) => {
            let base = u32::try_from(base).ok().filter(|base| *base == 0 || (2..=36).contains(base));
            (base.and_then(|base| parse_int(text, base)), parse_float(text).and_then(whole))
        }
        None => match value {
            Value::Float(number) if number.is_infinite() => (None, None),
            Value::Float(number) => (None, whole(*number)),
            _ => (value.as_int(), None),
        },
    };
    if exact.is_some() {
        return Ok(exact.map(Value::Int));
    }
    match float {
        None => Ok(None),
        Some(number) if number.abs() < 2f64.powi(126) => Ok(Some(Value::Int(number as i128))),
        Some(number) => refused(format!("{number} is larger than any number a prompt needs")),
    }
}

fn round(value: &Value, args: Args) -> Result<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"], 0)?;
    let precision = precision.as_ref().map_or(Ok(0), int_of)?;
    let method = method.unwrap_or_else(|| Value::str("common"));
    value.check_defined()?;
    match method.as_str() {
        Some("common") => match (value, value.as_int()) {
            (Value::Float(number), _) => round_float(*number, precision).map(Value::Float),
            (_, Some(number)) => Ok(Value::Int(round_int(number, precision))),
            _ => type_error(format!("type {} doesn't define __round__ method", value.type_name())),
        },
        Some(method @ ("ceil" | "floor")) => {
            let factor = binary(Binary::Pow, &Value::Int(10), &Value::Int(precision))?;
            let scaled = binary(Binary::Mul, value, &factor)?;
            let whole = match scaled {
                Value::Float(number) if !number.is_finite() => {
                    return value_error("cannot convert float infinity to integer");
                }
                Value::Float(number) if method == "ceil" => Value::Int(number.ceil() as i128),
                Value::Float(number) => Value::Int(number.floor() as i128),
                Value::Int(_) => scaled,
                _ => return type_error("must be real number"),
            };
            binary(Binary::Div, &whole, &factor)
        }
        _ => value_error("method must be common, ceil or floor"),
    }
}

/// To the nearest float with so many decimals; halves go to the even digit.
fn round_float(value: f64, precision: i128) -> Result<f64> {
    // A float has no more digits than these.
    if !value.is_finite() || precision > 323 {
        return Ok(value);
    }
    if precision < -308 {
        return Ok(0.0f64.copysign(value));
    }
    let text = if precision >= 0 {
        format!("{value:.*}", precision as usize)
    } else {
        // The digits that stay, of all that stand before the dot.
        let (_, _, exponent) = crate::values::number::rounded(value, 1);
        let kept = i128::from(exponent) + 1 + precision;
        if kept < 0 {
            return Ok(0.0f64.copysign(value));
        }
        if kept == 0 {
            let unit = 10f64.powi(-precision as i32);
            return Ok((if value.abs() > unit / 2.0 { unit } else { 0.0 }).copysign(value));
        }
        format!("{value:.*e}", kept as usize - 1)
    };
    text.parse().map_err(|_| Error::new(ErrorKind::Value, "not a number"))
}

fn round_int(value: i128, precision: i128) -> i128 {
    let unit = match u32::try_from(-precision) {
        Ok(zeros @ 1..) => 10i128.checked_pow(zeros),
        _ => return value,
    };
    let Some(unit) = unit else {
        return 0;
    };
    let (quotient, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
    let up = rest * 2 > unit || rest * 2 == unit && quotient % 2 != 0;
    (quotient + i128::from(up)) * unit
}

fn file_size(value: &Value, args: Args) -> Result<Value> {
    let [binary] = args.bind("filesizeformat", ["binary"], 0)?;
    let Some(bytes) = to_float(value)? else {
        return value_error("could not convert to float");
    };
    let base: f64 = if is_set(&binary) { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok(Value::str("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::str(format!("{} Bytes", bytes.trunc() as i128)));
    }
    let letters = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    let index = (0..letters.len()).find(|&index| bytes < base.powi(index as i32 + 2)).unwrap_or(letters.len() - 1);
    let number = base * bytes / base.powi(index as i32 + 2);
    let letter = letters[index];
    let unit = if is_set(&binary) { format!("{}iB", letter.to_uppercase()) } else { format!("{letter}B") };
    Ok(Value::str(format!("{number:.1} {unit}")))
}
