//! The methods of `str` that take a text apart.

use super::{int_of, text_of, unicode::is_space};
use crate::{
    error::{Result, value_error},
    render::Args,
    values::Value,
};

pub(super) fn call(text: &str, name: &str, args: Args) -> Result<Value> {
    match name {
        "splitlines" => {
            let [keep] = args.bind(name, ["keepends"], 0)?;
            let keep = keep.is_some_and(|keep| keep.is_true());
            Ok(Value::list(lines(text, keep).into_iter().map(Value::str).collect()))
        }
        "partition" | "rpartition" => {
            let [separator] = args.positional(name, 1)?;
            let separator = separator.unwrap_or(Value::None);
            let separator = text_of(&separator, name)?;
            if separator.is_empty() {
                return value_error("empty separator");
            }
            let parts = match (name, text.split_once(separator), text.rsplit_once(separator)) {
                ("partition", Some((before, after)), _) | ("rpartition", _, Some((before, after))) => {
                    [before, separator, after]
                }
                ("partition", ..) => [text, "", ""],
                _ => ["", "", text],
            };
            Ok(Value::tuple(parts.into_iter().map(Value::str).collect()))
        }
        _ => {
            let [separator, most] = args.bind(name, ["sep", "maxsplit"], 0)?;
            let most = most.as_ref().map_or(Ok(-1), int_of)?;
            let most = usize::try_from(most).unwrap_or(usize::MAX - 1);
            let from_end = name == "rsplit";
            let parts = match separator {
                None | Some(Value::None) => by_space(text, most, from_end),
                Some(separator) => {
                    let separator = text_of(&separator, name)?;
                    if separator.is_empty() {
                        return value_error("empty separator");
                    }
                    if from_end {
                        let mut parts: Vec<_> = text.rsplitn(most + 1, separator).collect();
                        parts.reverse();
                        parts
                    } else {
                        text.splitn(most + 1, separator).collect()
                    }
                }
            };
            Ok(Value::list(parts.into_iter().map(Value::str).collect()))
        }
    }
}

/// Words between whitespace; what is left after `most` splits stays whole.
fn by_space(text: &str, most: usize, from_end: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest;
    if from_end {
        rest = text.trim_end_matches(is_space);
        while let Some((at, space)) = rest.char_indices().rfind(|(_, letter)| is_space(*letter)) {
            if parts.len() == most {
                break;
            }
            parts.push(&rest[at + space.len_utf8()..]);
            rest = rest[..at].trim_end_matches(is_space);
        }
    } else {
        rest = text.trim_start_matches(is_space);
        while let Some(at) = rest.find(is_space) {
            if parts.len() == most {
                break;
            }
            parts.push(&rest[..at]);
            rest = rest[at..].trim_start_matches(is_space);
        }
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    if from_end {
        parts.reverse();
    }
    parts
}

/// `splitlines`.
pub(crate) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((at, end)) = rest.char_indices().find(|(_, letter)| is_line_end(*letter)) {
        let length = if rest[at..].starts_with("\r\n") { 2 } else { end.len_utf8() };
        lines.push(&rest[..if keep { at + length } else { at }]);
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
