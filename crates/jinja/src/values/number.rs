//! Floats as Python writes them.

/// `repr(value)`: the shortest digits that give the same float; with an exponent below 1e-4 and from 1e16 on.
pub(crate) fn float_repr(value: f64) -> String {
    if !value.is_finite() {
        return special(value).to_owned();
    }
    let (negative, digits, exponent) = shortest(value);
    let sign = if negative { "-" } else { "" };
    if (-4..16).contains(&exponent) {
        let text = fixed(&digits, exponent);
        let dot = if text.contains('.') { "" } else { ".0" };
        return format!("{sign}{text}{dot}");
    }
    format!("{sign}{}", scientific(&digits, exponent, 'e'))
}

/// "inf", "-inf", "nan".
pub(crate) fn special(value: f64) -> &'static str {
    match value {
        _ if value.is_nan() => "nan",
        _ if value < 0.0 => "-inf",
        _ => "inf",
    }
}

/// The sign, the shortest digits, and the exponent of the first of them.
pub(crate) fn shortest(value: f64) -> (bool, String, i32) {
    split(&format!("{value:e}"))
}

/// As [`shortest`], with a number of digits, correctly rounded.
pub(crate) fn rounded(value: f64, digits: usize) -> (bool, String, i32) {
    split(&format!("{value:.*e}", digits.saturating_sub(1)))
}

fn split(text: &str) -> (bool, String, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
    (mantissa.starts_with('-'), digits, exponent.parse().unwrap_or(0))
}

/// Digits with a dot where the exponent says.
pub(crate) fn fixed(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat(-exponent as usize - 1));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// "1.5e+16"
pub(crate) fn scientific(digits: &str, exponent: i32, letter: char) -> String {
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{dot}{rest}{letter}{sign}{:02}", exponent.abs())
}

/// `float(text)`.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(crate::python::unicode::is_space);
    let digits: String = text.chars().map(crate::python::unicode::ascii_digit).collect();
    let plain = without_underscores(&digits)?;
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain).to_ascii_lowercase();
    let is_word = matches!(unsigned.as_str(), "inf" | "infinity" | "nan");
    let is_number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if is_word || is_number { plain.parse().ok() } else { None }
}

/// `int(text, base)`; base 0 reads a prefix.
pub(crate) fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(crate::python::unicode::is_space);
    let digits: String = text.chars().map(crate::python::unicode::ascii_digit).collect();
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixes = [("0b", 2), ("0o", 8), ("0x", 16)];
    let found = prefixes.iter().find(|(prefix, radix)| lower.starts_with(prefix) && (base == *radix || base == 0));
    let (digits, radix) = match found {
        Some((_, radix)) => (lower[2..].strip_prefix('_').unwrap_or(&lower[2..]), *radix),
        None if base == 0
            && lower.len() > 1
            && lower.starts_with('0')
            && lower.bytes().any(|b| b != b'0' && b != b'_') =>
        {
            return None;
        }
        None => (lower.as_str(), if base == 0 { 10 } else { base }),
    };
    let digits = without_underscores(digits)?;
    if digits.is_empty() || !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(&digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// Without the underscores between two digits; others are not allowed.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let alnum = |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_alphanumeric);
    for (index, _) in text.match_indices('_') {
        if !alnum(index.checked_sub(1)) || !alnum(Some(index + 1)) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}
