//! Numbers and strings of the source.

use super::lexer::Token;

/// The number at the beginning of `text`, and its length. After a dot (`list.0.1`) there are no fractions.
pub(super) fn number(text: &str, after_dot: bool) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    // Digits with single underscores between them.
    let digits = |from: usize, is_digit: &dyn Fn(&u8) -> bool| {
        let mut end = from;
        while bytes.get(end).is_some_and(is_digit)
            || end > from && bytes.get(end) == Some(&b'_') && bytes.get(end + 1).is_some_and(is_digit)
        {
            end += 1;
        }
        end
    };
    let decimal: &dyn Fn(&u8) -> bool = &u8::is_ascii_digit;
    if !after_dot {
        let whole = digits(0, decimal);
        let mut end = whole;
        let mut is_float = false;
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1, decimal);
            is_float = true;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
                end = digits(end + 1 + sign, decimal);
                is_float = true;
            }
        }
        if is_float {
            let value = text[..end].replace('_', "").parse().map_err(|_| "not a number".to_owned())?;
            return Ok((Token::Float(value), end));
        }
    }
    let prefixed = |radix: u32, is_digit: &dyn Fn(&u8) -> bool| {
        let start = if bytes.get(2) == Some(&b'_') { 3 } else { 2 };
        let end = digits(start, is_digit);
        (end > start).then_some((radix, start, end))
    };
    let found = match (bytes[0], bytes.get(1)) {
        (b'0', Some(b'b' | b'B')) => prefixed(2, &|digit| matches!(digit, b'0' | b'1')),
        (b'0', Some(b'o' | b'O')) => prefixed(8, &|digit| matches!(digit, b'0'..=b'7')),
        (b'0', Some(b'x' | b'X')) => prefixed(16, &u8::is_ascii_hexdigit),
        _ => None,
    };
    let (radix, start, end) = match found {
        Some(found) => found,
        // A number that begins with 0 is 0.
        None if bytes[0] == b'0' => (10, 0, digits(0, &|digit| *digit == b'0')),
        None => (10, 0, digits(0, decimal)),
    };
    match i128::from_str_radix(&text[start..end].replace('_', ""), radix) {
        Ok(value) => Ok((Token::Int(value), end)),
        Err(_) => Err(format!("{} is larger than any number a prompt needs", &text[start..end])),
    }
}

/// The length of the quoted string at the beginning of `text`, with its quotes.
pub(super) fn string_length(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Python's `unicode-escape`.
pub(super) fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(letter) = rest.chars().next() else {
            return Err("\\ at end of string".to_owned());
        };
        rest = &rest[letter.len_utf8()..];
        let mut hex = |digits: usize| {
            let code = rest.get(..digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            rest = rest.get(digits..).unwrap_or_default();
            let letter = code.and_then(char::from_u32);
            letter.ok_or_else(|| format!("\\{letter:?} needs {digits} hexadecimal digits of a character"))
        };
        match letter {
            '\n' => {}
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            '\\' | '\'' | '"' => out.push(letter),
            'x' => out.push(hex(2)?),
            'u' => out.push(hex(4)?),
            'U' => out.push(hex(8)?),
            'N' => return Err("names of characters (\\N) are not supported".to_owned()),
            '0'..='7' => {
                let mut code = letter as u32 - '0' as u32;
                for _ in 0..2 {
                    let Some(digit) = rest.chars().next().and_then(|digit| digit.to_digit(8)) else { break };
                    code = code * 8 + digit;
                    rest = &rest[1..];
                }
                out.extend(char::from_u32(code));
            }
            _ => {
                out.push('\\');
                out.push(letter);
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}
