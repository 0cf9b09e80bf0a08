//! The methods of `int` and `float`.

use super::{int_of, no_method, text_of};
use crate::{
    error::{Result, value_error},
    render::Args,
    values::{Value, number::parse_float},
};

pub(super) fn call(value: &Value, name: &str, args: Args) -> Result<Value> {
    match (value, name) {
        (Value::Float(float), "is_integer") => {
            args.positional::<0>(name, 0)?;
            Ok(Value::Bool(float.is_finite() && float.fract() == 0.0))
        }
        (Value::Float(_), "conjugate") => {
            args.positional::<0>(name, 0)?;
            Ok(value.clone())
        }
        (Value::Float(float), "hex") => {
            args.positional::<0>(name, 0)?;
            Ok(Value::str(hex(*float)))
        }
        (Value::Float(float), "as_integer_ratio") => {
            args.positional::<0>(name, 0)?;
            ratio(*float)
        }
        (Value::Float(_), "fromhex") => {
            let [text] = args.positional(name, 1)?;
            let text = text.unwrap_or(Value::None);
            from_hex(text_of(&text, name)?)
        }
        (_, "conjugate") => {
            args.positional::<0>(name, 0)?;
            Ok(Value::Int(int_of(value)?))
        }
        (_, "as_integer_ratio") => {
            args.positional::<0>(name, 0)?;
            Ok(Value::tuple(vec![Value::Int(int_of(value)?), Value::Int(1)]))
        }
        (_, "bit_length") => {
            args.positional::<0>(name, 0)?;
            Ok(Value::Int(i128::from(128 - int_of(value)?.unsigned_abs().leading_zeros())))
        }
        (_, "bit_count") => {
            args.positional::<0>(name, 0)?;
            Ok(Value::Int(i128::from(int_of(value)?.unsigned_abs().count_ones())))
        }
        _ => no_method(value, name),
    }
}

/// `0x1.8000000000000p+0`
fn hex(value: f64) -> String {
    if !value.is_finite() {
        return crate::values::number::special(value).to_owned();
    }
    let bits = value.to_bits();
    let sign = if bits >> 63 == 1 { "-" } else { "" };
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    match (exponent, fraction) {
        (0, 0) => format!("{sign}0x0.0p+0"),
        (0, _) => format!("{sign}0x0.{fraction:013x}p-1022"),
        _ => format!("{sign}0x1.{fraction:013x}p{:+}", exponent - 1023),
    }
}

fn from_hex(text: &str) -> Result<Value> {
    let text = text.trim().to_ascii_lowercase();
    let invalid = || value_error("invalid hexadecimal floating-point string");
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let signed = |value: f64| Ok(Value::Float(if negative { -value } else { value }));
    if let Some(value) = parse_float(rest).filter(|value| !value.is_finite()) {
        return signed(value);
    }
    let rest = rest.strip_prefix("0x").unwrap_or(rest);
    let (digits, exponent) = rest.split_once('p').unwrap_or((rest, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let Ok(exponent) = exponent.parse::<i32>() else {
        return invalid();
    };
    let all = format!("{whole}{fraction}");
    // As many digits as an integer of 64 bits holds exactly.
    match u64::from_str_radix(&all, 16) {
        Ok(mantissa) => signed(mantissa as f64 * 2f64.powi(exponent - 4 * fraction.len() as i32)),
        Err(_) => invalid(),
    }
}

fn ratio(value: f64) -> Result<Value> {
    if !value.is_finite() {
        return value_error("cannot convert Infinity or NaN to integer ratio");
    }
    let (mut numerator, mut denominator) = (value, 1i128);
    while numerator.fract() != 0.0 && denominator < 1 << 100 {
        numerator *= 2.0;
        denominator *= 2;
    }
    if numerator.fract() != 0.0 || numerator.abs() >= 2f64.powi(126) {
        return crate::error::refused("a ratio larger than any number a prompt needs");
    }
    Ok(Value::tuple(vec![Value::Int(numerator as i128), Value::Int(denominator)]))
}
