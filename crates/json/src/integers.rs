//! Integers that no [`Value`](serde_json::Value) holds.

use std::borrow::Cow;

use super::{NotJson, beginning, string, word_at};

/// Refuses integers that a [`Value`](serde_json::Value) holds as floats, which are written otherwise: a prompt, or what a model wrote, would change.
///
/// # Errors
/// The first integer beyond 64 bits, or `-0`, which is 0 in Python; in one line. What is no JSON is nobody's error here.
pub fn check_integers(text: &[u8]) -> Result<(), NotJson> {
    let Some((at, word)) = odd_integer(text, 0) else { return Ok(()) };
    let lines: Vec<&[u8]> = text[..at].split(|letter| *letter == b'\n').collect();
    let (line, column) = (lines.len(), lines.last().map_or(0, |line| line.len()) + 1);
    Err(NotJson(format!(
        "the integer {} at line {line} column {column} would become a float, as -0 and all beyond 64 bits do: \
         write it as a text or as a float",
        beginning(word)
    )))
}

/// The same text with those integers as texts, so that no digit is lost; -0 is 0, as in Python.
pub fn quote_integers(text: &str) -> Cow<'_, str> {
    let (mut quoted, mut from) = (String::new(), 0);
    while let Some((at, word)) = odd_integer(text.as_bytes(), from) {
        quoted.push_str(&text[from..at]);
        match word {
            "-0" => quoted.push('0'),
            word => quoted.extend(["\"", word, "\""]),
        }
        from = at + word.len();
    }
    if from == 0 {
        return text.into();
    }
    quoted.push_str(&text[from..]);
    quoted.into()
}

/// The first integer from here on that a [`Value`](serde_json::Value) holds as a float, and where it stands. `from` is in no string.
fn odd_integer(text: &[u8], from: usize) -> Option<(usize, &str)> {
    let mut at = from;
    while let Some(&letter) = text.get(at) {
        at += match letter {
            b'"' => string(&text[at..]),
            b'-' | b'0'..=b'9' => {
                let word = word_at(&text[at..]);
                let fits = word.parse::<u64>().is_ok() || word.parse().is_ok_and(|number: i64| number < 0);
                let digits = word.strip_prefix('-').unwrap_or(word);
                if !fits && !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) {
                    return Some((at, word));
                }
                word.len().max(1)
            }
            _ => 1,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_that_would_become_floats() {
        for text in [
            "[18446744073709551615, -9223372036854775808, 0, 1e30, -0.0, -0e1, 18446744073709551616.0]",
            r#"{"-0": "a \" 99999999999999999999"}"#,
            "-",
            "\"\\",
        ] {
            check_integers(text.as_bytes()).expect(text);
        }
        for (text, place) in [
            ("18446744073709551616", "18446744073709551616 at line 1 column 1 "),
            ("{\"a\":\n [1, -9223372036854775809]}", "-9223372036854775809 at line 2 column 6 "),
            (r#"["\\", -0]"#, "-0 at line 1 column 8 "),
        ] {
            let error = check_integers(text.as_bytes()).expect_err(text).to_string();
            assert!(error.starts_with(&format!("the integer {place}")), "{text}: {error}");
        }
    }

    #[test]
    fn integers_become_texts_where_no_digit_may_be_lost() {
        let text = r#"{"a": 123456789012345678901, "b": [-0, 1, "x 99999999999999999999"], "c": -9223372036854775809}"#;
        let quoted =
            r#"{"a": "123456789012345678901", "b": [0, 1, "x 99999999999999999999"], "c": "-9223372036854775809"}"#;
        assert_eq!(quote_integers(text), quoted);
        assert!(matches!(quote_integers(quoted), Cow::Borrowed(_)));
    }
}
