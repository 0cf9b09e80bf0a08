//! JSON as Python's `json` reads and writes it: the reader for every small file of a model's folder.
//!
//! Python is more lenient than the standard, and folders hold what it wrote. It accepts `Infinity`, `-Infinity` and `NaN`
//! where numbers go, numbers beyond float64, which become infinite, and halves of surrogate pairs, which are no text.
//! [`Value`] has no number for the first two: they become what transformers 5 writes for them, `{"__float__": "Infinity"}`,
//! which [`as_f64`] understands. The half of a pair becomes U+FFFD. A byte order mark in front is passed over.

mod integers;

use std::{error, fmt};

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

pub use integers::{check_integers, quote_integers};

/// transformers' tag of a number that JSON does not have (`configuration_utils.py`).
const TAG: &str = "__float__";

/// What is not JSON for Python either, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(String);

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for NotJson {}

/// Reads a whole file.
///
/// # Errors
/// It is not JSON: what and where, in one line.
pub fn parse(text: &[u8]) -> Result<Value, NotJson> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    serde_json::from_slice(text).or_else(|_| {
        let standard = Standard::of(text);
        serde_json::from_slice(&standard.text).map_err(|error| standard.place(&error))
    })
}

/// The same of an object.
///
/// # Errors
/// As for [`parse`]; or it is JSON of another kind.
pub fn parse_object(text: &[u8]) -> Result<Map<String, Value>, NotJson> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        other => Err(NotJson(format!("{} where an object {{...}} is expected", beginning(&shown(&other))))),
    }
}

/// The number that a value is, infinities and NaN included.
pub fn as_f64(value: &Value) -> Option<f64> {
    match word(value) {
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some("NaN") => Some(f64::NAN),
        _ => value.as_f64(),
    }
}

/// A value in one line, as Python would write it.
pub fn shown(value: &Value) -> String {
    untagged(value, Value::to_string)
}

/// A file with this value, indented, as Python would write it.
pub fn file_text(value: &Value) -> String {
    untagged(value, |value| format!("{value:#}\n"))
}

fn beginning(text: &str) -> String {
    const LETTERS: usize = 60;
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Python's word for a number that JSON does not have.
fn word(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(TAG)?.as_str()
}

/// Stands before a word in a string, and in no text: Unicode keeps it for what does not leave a program.
const MARK: char = '\u{fdd0}';

fn untagged(value: &Value, write: impl Fn(&Value) -> String) -> String {
    fn marked(value: &Value) -> Value {
        match value {
            Value::Object(fields) => match word(value) {
                Some(word) if as_f64(value).is_some() => Value::from(format!("{MARK}{word}")),
                _ => fields.iter().map(|(name, value)| (name.clone(), marked(value))).collect::<Map<_, _>>().into(),
            },
            Value::Array(items) => items.iter().map(marked).collect(),
            other => other.clone(),
        }
    }
    let mut text = write(&marked(value));
    for word in ["Infinity", "-Infinity", "NaN"] {
        text = text.replace(&format!("\"{MARK}{word}\""), word);
    }
    text
}

/// Python's JSON turned into the standard's.
struct Standard {
    text: Vec<u8>,
    /// Line and column of what was put in, and how many letters longer it is.
    added: Vec<(usize, usize, isize)>,
}

impl Standard {
    fn of(text: &[u8]) -> Self {
        let mut standard = Self { text: Vec::with_capacity(text.len()), added: Vec::new() };
        let (mut rest, mut line, mut line_start) = (text, 1, 0);
        while let Some(&letter) = rest.first() {
            let (taken, put): (usize, Option<String>) = match letter {
                b'"' => (string(rest), None),
                b'N' | b'I' | b'-' | b'0'..=b'9' => number(rest),
                _ => (1, None),
            };
            let (now, later) = rest.split_at(taken);
            match put {
                Some(put) => {
                    standard.text.extend(put.bytes());
                    standard.added.push((line, standard.text.len() - line_start, put.len() as isize - taken as isize));
                }
                None if letter == b'"' => standard.text.extend(without_half_pairs(now)),
                None => standard.text.extend(now),
            }
            if letter == b'\n' {
                (line, line_start) = (line + 1, standard.text.len());
            }
            rest = later;
        }
        standard
    }

    /// An error in the standard's text, at its place in Python's.
    fn place(&self, error: &serde_json::Error) -> NotJson {
        let (line, column) = (error.line(), error.column());
        let before = self.added.iter().filter(|(of, end, _)| *of == line && *end <= column);
        let added: isize = before.map(|(.., letters)| letters).sum();
        let text = error.to_string();
        let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        NotJson(format!("{what} at line {line} column {}", column.saturating_add_signed(-added)))
    }
}

/// Length of the string literal at the front.
fn string(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The word or number at the front.
fn word_at(text: &[u8]) -> &str {
    let is_part = |letter: &&u8| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'-' | b'.');
    let len = text.iter().take_while(is_part).count();
    std::str::from_utf8(&text[..len]).unwrap_or_default()
}

/// Length of the word or number at the front, and what stands for it if the standard has none.
fn number(text: &[u8]) -> (usize, Option<String>) {
    let word = word_at(text);
    let len = word.len();
    let digits = word.strip_prefix('-').unwrap_or(word);
    let word = match word {
        "NaN" | "Infinity" | "-Infinity" => word,
        // Rust reads more than JSON has: "1." and "+1" stay, and are refused.
        _ if serde_json::from_str::<IgnoredAny>(word).is_err() => return (len, None),
        _ if digits.parse().is_ok_and(f64::is_infinite) => {
            if digits.len() == word.len() {
                "Infinity"
            } else {
                "-Infinity"
            }
        }
        _ => return (len, None),
    };
    (len, Some(format!("{{\"{TAG}\":\"{word}\"}}")))
}

/// A string literal whose escaped surrogates are whole pairs.
fn without_half_pairs(literal: &[u8]) -> Vec<u8> {
    let unit = |at: usize| {
        let digits = literal.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut whole = literal.to_vec();
    let mut at = 0;
    while at < literal.len() {
        at += match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            (Some(_), _) => 6,
            (None, _) if literal[at] == b'\\' => 2,
            (None, _) => 1,
        };
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_that_json_does_not_have() {
        let big = format!("1{}", "0".repeat(400));
        for (text, number) in [
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
            ("-1.5E+999", f64::NEG_INFINITY),
            (&big, f64::INFINITY),
            ("1e30", 1e30),
            ("1e-999", 0.0),
            ("{\"__float__\": \"Infinity\"}", f64::INFINITY),
        ] {
            assert_eq!(as_f64(&read(text)), Some(number), "{text}");
        }
        assert!(as_f64(&read("NaN")).unwrap().is_nan());
        let list = read(" [0.0, Infinity , {\"a\": [-Infinity,NaN]}, \"NaN \\\" Infinity\", 2]\n");
        assert_eq!(shown(&list), r#"[0.0,Infinity,{"a":[-Infinity,NaN]},"NaN \" Infinity",2]"#);
        assert_eq!(list[1].as_f64(), None, "no reader takes it for a number by chance");
        assert_eq!(read(&file_text(&list)), list);
    }

    #[test]
    fn as_python_reads() {
        assert_eq!(read("\u{feff}{\"a\": 1, \"a\": 2}"), serde_json::json!({"a": 2}), "the last of two keys");
        assert_eq!(
            read(r#"["\ud83d\ude00", "\ud83d", "\udc00x", "\\ud83d"]"#),
            serde_json::json!(["😀", "\u{fffd}", "\u{fffd}x", "\\ud83d"])
        );
        // Where the standard's reader succeeds at once, and where it does not.
        for tail in ["", ", NaN"] {
            let list = read(&format!("[1, -0.5, true, null, \"é\\n\"{tail}]"));
            assert_eq!(
                list.as_array().unwrap()[..5],
                *serde_json::json!([1, -0.5, true, null, "é\n"]).as_array().unwrap()
            );
        }
    }

    #[test]
    fn what_python_refuses_is_refused_where_it_stands() {
        for (text, place) in [
            ("{\"a\": NaN,\n \"b\": Infinity, }", "line 2 column 17"),
            ("[NaN, NaN, x]", "line 1 column 12"),
            ("[1, x, NaN]", "line 1 column 5"),
            ("[Infinit]", "line 1 column 2"),
            ("[--Infinity]", "line 1 column 3"),
            ("[1.e999]", "line 1 column 4"),
            ("[01]", "line 1 column 3"),
            ("[+1]", "line 1 column 2"),
            ("NaNs", "line 1 column 1"),
            ("[nan]", "line 1 column 3"),
            ("[1] 2", "line 1 column 5"),
            ("{\"a\": \"\\", "line 1 column 8"),
            ("", "line 1 column 0"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.ends_with(place), "{text:?}: {error}");
        }
        // Infinity is written with fewer letters than this.
        let error = parse(format!("[1{}, x]", "0".repeat(400)).as_bytes()).unwrap_err().to_string();
        assert!(error.ends_with("line 1 column 405"), "{error}");
        let error = parse_object(b"[1, Infinity]").unwrap_err().to_string();
        assert_eq!(error, "[1,Infinity] where an object {...} is expected");
    }
}
