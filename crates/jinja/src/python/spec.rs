//! `format(value, spec)`: Python's format specification. Source: `Python/formatter_unicode.c`.

use crate::{
    error::{Result, type_error, value_error},
    values::{Value, escaped, float_repr, number, repr_str, to_str},
};

#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    no_negative_zero: bool,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// # Errors
/// A specification that is none, or not for this type.
pub(crate) fn format(value: &Value, text: &str) -> Result<String> {
    let of_this_type = || format!("for object of type {}", repr_str(value.type_name()));
    match value {
        _ if text.is_empty() => Ok(to_str(value)),
        Value::Str(letters) | Value::Markup(letters) => {
            let spec = Spec::parse(text)?;
            let reason = match (&spec, spec.align) {
                (Spec { kind: Some(kind), .. }, _) if *kind != 's' => {
                    return value_error(format!("Unknown format code {kind:?} {}", of_this_type()));
                }
                (Spec { sign: Some(_), .. }, _) => "Sign not allowed in string format specifier",
                (Spec { no_negative_zero: true, .. }, _) => {
                    "Negative zero coercion (z) not allowed in string format specifier"
                }
                (Spec { alternate: true, .. }, _) => "Alternate form (#) not allowed in string format specifier",
                (Spec { grouping: Some(_), .. }, _) => "Cannot specify ',' with 's'.",
                (_, Some('=')) => "'=' alignment not allowed in string format specifier",
                _ => {
                    let most = spec.precision.unwrap_or(usize::MAX);
                    let letters: String = letters.chars().take(most).collect();
                    return Ok(spec.pad("", &letters, '<'));
                }
            };
            value_error(reason)
        }
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => {
            let spec = Spec::parse(text)?;
            match (value.as_int(), spec.kind) {
                (Some(number), None | Some('b' | 'c' | 'd' | 'n' | 'o' | 'x' | 'X')) => spec.integer(number),
                (_, None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | '%')) => {
                    Ok(spec.float(value.as_float().unwrap_or(0.0)))
                }
                (_, Some(kind)) => value_error(format!("Unknown format code {kind:?} {}", of_this_type())),
            }
        }
        _ => type_error(format!("unsupported format string passed to {}.__format__", value.type_name())),
    }
}

impl Spec {
    fn parse(text: &str) -> Result<Self> {
        let letters: Vec<char> = text.chars().collect();
        let mut at = 0;
        let mut spec = Self::default();
        let is_align = |letter: Option<&char>| letter.is_some_and(|letter| "<>=^".contains(*letter));
        if is_align(letters.get(1)) {
            (spec.fill, spec.align) = (Some(letters[0]), Some(letters[1]));
            at = 2;
        } else if is_align(letters.first()) {
            spec.align = Some(letters[0]);
            at = 1;
        }
        let mut take = |wanted: &str| {
            let letter = letters.get(at).copied().filter(|letter| wanted.contains(*letter));
            at += usize::from(letter.is_some());
            letter
        };
        spec.sign = take("+- ");
        spec.no_negative_zero = take("z").is_some();
        spec.alternate = take("#").is_some();
        if take("0").is_some() && spec.fill.is_none() {
            spec.fill = Some('0');
            // Numbers are filled behind their sign; a text has none.
            spec.align = spec.align.or(Some('0'));
        }
        let digits = |at: &mut usize| {
            let start = *at;
            while letters.get(*at).is_some_and(char::is_ascii_digit) {
                *at += 1;
            }
            let digits: String = letters[start..*at].iter().collect();
            match digits.parse::<usize>() {
                Ok(number) if number <= 1 << 26 => Ok(Some(number)),
                Err(_) if digits.is_empty() => Ok(None),
                _ => value_error("Too many decimal digits in format string"),
            }
        };
        spec.width = digits(&mut at)?.unwrap_or(0);
        if let Some(grouping) = letters.get(at).filter(|letter| matches!(letter, ',' | '_')) {
            spec.grouping = Some(*grouping);
            at += 1;
            if letters.get(at).is_some_and(|letter| matches!(letter, ',' | '_')) {
                return value_error("Cannot specify both ',' and '_'.");
            }
        }
        if letters.get(at) == Some(&'.') {
            at += 1;
            spec.precision = digits(&mut at)?;
            if spec.precision.is_none() {
                return value_error("Format specifier missing precision");
            }
        }
        spec.kind = letters.get(at).copied();
        if letters.len() > at + 1 {
            return value_error(format!("Invalid format specifier {}", repr_str(text)));
        }
        let allowed = match spec.grouping {
            Some(',') => "defgEFG%",
            Some('_') => "bdefgoxEFGX%",
            _ => return Ok(spec),
        };
        match (spec.grouping, spec.kind) {
            (Some(grouping), Some(kind)) if !allowed.contains(kind) => {
                value_error(format!("Cannot specify {:?} with {kind:?}.", grouping))
            }
            _ => Ok(spec),
        }
    }

    fn integer(&self, number: i128) -> Result<String> {
        if self.precision.is_some() {
            return value_error("Precision not allowed in integer format specifier");
        }
        if self.no_negative_zero {
            return value_error(
                "Negative zero coercion (z) not allowed in format specifier with integer format code 'd'",
            );
        }
        let magnitude = number.unsigned_abs();
        let (prefix, digits) = match self.kind {
            Some('c') => {
                if self.sign.is_some() {
                    return value_error("Sign not allowed with integer format specifier 'c'");
                }
                if self.alternate {
                    return value_error("Alternate form (#) not allowed with integer format specifier 'c'");
                }
                let Some(letter) = u32::try_from(number).ok().and_then(char::from_u32) else {
                    return value_error("%c arg not in range(0x110000)");
                };
                return Ok(self.pad("", &letter.to_string(), '>'));
            }
            Some('b') => ("0b", format!("{magnitude:b}")),
            Some('o') => ("0o", format!("{magnitude:o}")),
            Some('x') => ("0x", format!("{magnitude:x}")),
            Some('X') => ("0X", format!("{magnitude:X}")),
            _ => ("", magnitude.to_string()),
        };
        let lead = format!("{}{}", self.sign_of(number < 0), if self.alternate { prefix } else { "" });
        let size = if matches!(self.kind, Some('b' | 'o' | 'x' | 'X')) { 4 } else { 3 };
        Ok(self.grouped(&lead, &digits, "", size))
    }

    fn float(&self, value: f64) -> String {
        let value = if self.kind == Some('%') { value * 100.0 } else { value };
        let digits = match (self.kind, self.precision) {
            (None, None) => float_repr(value.abs()),
            (None, Some(precision)) => general_with_dot(value, precision, self.alternate),
            (Some('%'), precision) => float_digits(value, 'f', precision.unwrap_or(6), self.alternate) + "%",
            (Some('n'), precision) => float_digits(value, 'g', precision.unwrap_or(6), self.alternate),
            (Some(kind), precision) => float_digits(value, kind, precision.unwrap_or(6), self.alternate),
        };
        let is_zero = !digits.bytes().any(|digit| digit.is_ascii_digit() && digit != b'0');
        let hides_sign = self.no_negative_zero && is_zero && value.is_finite();
        let lead = self.sign_of(value.is_sign_negative() && !value.is_nan() && !hides_sign);
        let whole = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
        let (whole, rest) = digits.split_at(whole);
        self.grouped(&lead, whole, rest, 3)
    }

    fn sign_of(&self, negative: bool) -> String {
        match (negative, self.sign) {
            (true, _) => "-".to_owned(),
            (false, Some(sign @ ('+' | ' '))) => sign.to_string(),
            _ => String::new(),
        }
    }

    /// Digits in groups, padded; zeros that fill are grouped too.
    fn grouped(&self, lead: &str, whole: &str, rest: &str, size: usize) -> String {
        let Some(separator) = self.grouping else {
            return self.pad(lead, &format!("{whole}{rest}"), '>');
        };
        let group = |digits: &str| {
            let mut out = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(size) {
                    out.push(separator);
                }
                out.push(digit);
            }
            out
        };
        let fills = self.fill == Some('0') && matches!(self.align, Some('0' | '='));
        let mut digits = whole.to_owned();
        let taken = lead.chars().count() + rest.chars().count();
        while fills && !whole.is_empty() && group(&digits).len() + taken < self.width {
            digits.insert(0, '0');
        }
        self.pad(lead, &format!("{}{rest}", group(&digits)), '>')
    }

    fn pad(&self, lead: &str, text: &str, default: char) -> String {
        let missing = self.width.saturating_sub(lead.chars().count() + text.chars().count());
        let fill = |count: usize| self.fill.unwrap_or(' ').to_string().repeat(count);
        match self.align {
            Some('0') if default == '<' => format!("{lead}{text}{}", fill(missing)),
            Some('=' | '0') => format!("{lead}{}{text}", fill(missing)),
            Some('^') => format!("{}{lead}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
            align => match align.unwrap_or(default) {
                '<' => format!("{lead}{text}{}", fill(missing)),
                _ => format!("{}{lead}{text}", fill(missing)),
            },
        }
    }
}

/// The digits of a float, without its sign, for `e`, `f` or `g`, large or small.
pub(crate) fn float_digits(value: f64, kind: char, precision: usize, alternate: bool) -> String {
    let text = if value.is_finite() {
        let value = value.abs();
        let dot = if alternate && precision == 0 { "." } else { "" };
        match kind.to_ascii_lowercase() {
            'e' => {
                let (_, digits, exponent) = number::rounded(value, precision + 1);
                let text = number::scientific(&digits, exponent, 'e');
                if dot.is_empty() { text } else { text.replacen('e', ".e", 1) }
            }
            'f' => format!("{value:.precision$}{dot}"),
            _ => general(value, precision.max(1), alternate),
        }
    } else {
        number::special(value.abs()).to_owned()
    };
    if kind.is_ascii_uppercase() { text.to_uppercase() } else { text }
}

fn general(value: f64, precision: usize, alternate: bool) -> String {
    let (_, digits, exponent) = number::rounded(value, precision);
    let digits = if alternate { digits.as_str() } else { digits.trim_end_matches('0') };
    let digits = if digits.is_empty() { "0" } else { digits };
    if exponent < -4 || exponent >= precision as i32 {
        let text = number::scientific(digits, exponent, 'e');
        return if alternate && digits.len() == 1 { text.replacen('e', ".e", 1) } else { text };
    }
    let text = number::fixed(digits, exponent);
    if alternate && !text.contains('.') { text + "." } else { text }
}

/// A precision without a letter: as `g`, but never without a digit behind the dot.
fn general_with_dot(value: f64, precision: usize, alternate: bool) -> String {
    if !value.is_finite() {
        return number::special(value.abs()).to_owned();
    }
    let precision = precision.max(1);
    let (_, digits, exponent) = number::rounded(value.abs(), precision);
    // The digit behind the dot does not fit any more: with an exponent.
    if exponent >= -4 && exponent + 1 >= precision as i32 {
        let digits = digits.trim_end_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        if exponent + 1 > precision as i32 || exponent + 1 == precision as i32 && exponent > 0 {
            return number::scientific(digits, exponent, 'e');
        }
    }
    let text = general(value.abs(), precision, alternate);
    if text.contains(['.', 'e']) { text } else { text + ".0" }
}

/// `ascii(text)`: characters beyond ASCII are escaped.
pub(crate) fn ascii(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii() { letter.to_string() } else { escaped(letter) }).collect()
}
