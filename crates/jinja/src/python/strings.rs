//! The methods of `str`.

use super::{int_of, search, split, str_format, text_of, translate, unicode::*, width_of};
use crate::{
    error::{Result, type_error},
    library::escape,
    render::Args,
    values::{Value, iterate},
};

/// Calls a method of a text. What a marked text gives is marked too, and what comes to it is escaped.
pub(super) fn call(text: &str, name: &str, mut args: Args, marked: bool) -> Result<Value> {
    if !marked {
        return plain(text, name, args);
    }
    let takes_text = ["center", "ljust", "rjust", "replace", "join", "format"].contains(&name);
    if takes_text {
        for (index, argument) in args.positional.iter_mut().enumerate() {
            match argument {
                // What is replaced is looked for as it is.
                _ if name == "replace" && index == 0 => {}
                Value::Str(_) => *argument = Value::Str(escape(argument)?),
                _ if name == "join" => {
                    let items = iterate(argument)?;
                    let items: Result<Vec<_>> = items.iter().map(|item| escape(item).map(Value::Str)).collect();
                    *argument = Value::list(items?);
                }
                _ => {}
            }
        }
        for (_, argument) in &mut args.named {
            if matches!(argument, Value::Str(_)) {
                *argument = Value::Str(escape(argument)?);
            }
        }
    }
    let mark = |value: Value| match value {
        Value::Str(text) => Value::Markup(text),
        other => other,
    };
    Ok(match plain(text, name, args)? {
        Value::List(items) => Value::list(items.iter().cloned().map(mark).collect()),
        Value::Tuple(items) => Value::tuple(items.iter().cloned().map(mark).collect()),
        value => mark(value),
    })
}

fn plain(text: &str, name: &str, args: Args) -> Result<Value> {
    if let Some(result) = tests(text, name) {
        args.positional::<0>(name, 0)?;
        return Ok(Value::Bool(result));
    }
    if let Some(result) = changed(text, name) {
        args.positional::<0>(name, 0)?;
        return Ok(Value::str(result));
    }
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let [letters] = args.positional(name, 0)?;
            Ok(Value::str(strip(text, name, letters)?))
        }
        "center" | "ljust" | "rjust" => {
            let [width, fill] = args.positional(name, 1)?;
            pad(text, name, width_of(&width.unwrap_or(Value::None))?, fill).map(Value::str)
        }
        "zfill" => {
            let [width] = args.positional(name, 1)?;
            Ok(Value::str(zfill(text, width_of(&width.unwrap_or(Value::None))?)))
        }
        "expandtabs" => {
            let [size] = args.bind(name, ["tabsize"], 0)?;
            let size = size.as_ref().map_or(Ok(8), width_of)?;
            Ok(Value::str(expand_tabs(text, size)))
        }
        "count" | "find" | "index" | "rfind" | "rindex" | "startswith" | "endswith" => search::call(text, name, args),
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => split::call(text, name, args),
        "replace" => {
            let [old, new, count] = args.positional(name, 2)?;
            let (old, new) = (old.unwrap_or(Value::None), new.unwrap_or(Value::None));
            let count = count.as_ref().map_or(Ok(-1), int_of)?;
            let (old, new) = (text_of(&old, name)?, text_of(&new, name)?);
            Ok(Value::str(match usize::try_from(count) {
                Ok(count) => text.replacen(old, new, count),
                Err(_) => text.replace(old, new),
            }))
        }
        "removeprefix" | "removesuffix" => {
            let [part] = args.positional(name, 1)?;
            let part = part.unwrap_or(Value::None);
            let part = text_of(&part, name)?;
            let rest = if name == "removeprefix" { text.strip_prefix(part) } else { text.strip_suffix(part) };
            Ok(Value::str(rest.unwrap_or(text)))
        }
        "join" => {
            let [items] = args.positional(name, 1)?;
            let items = items.unwrap_or(Value::None);
            join(text, &items).map(Value::str)
        }
        "encode" => {
            let [encoding, errors] = args.bind(name, ["encoding", "errors"], 0)?;
            super::bytes::encode(text, encoding, errors)
        }
        "format" => str_format::format(text, &args.positional, &str_format::Named::Args(&args.named)).map(Value::str),
        "format_map" => {
            let [mapping] = args.positional(name, 1)?;
            let mapping = mapping.unwrap_or(Value::None);
            str_format::format(text, &[], &str_format::Named::Mapping(&mapping)).map(Value::str)
        }
        "maketrans" | "translate" => translate::call(text, name, args),
        _ => super::no_method(&Value::str(text), name),
    }
}

/// The methods that ask.
fn tests(text: &str, name: &str) -> Option<bool> {
    let all = |holds: fn(char) -> bool| !text.is_empty() && text.chars().all(holds);
    let is_upper = |letter: char| letter.is_uppercase();
    let is_lower = |letter: char| letter.is_lowercase();
    Some(match name {
        "isalnum" => all(is_alnum),
        "isalpha" => all(is_alpha),
        "isascii" => text.is_ascii(),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(is_digit),
        "isnumeric" => all(is_numeric),
        "isprintable" => text.chars().all(is_printable),
        "isspace" => all(is_space),
        "islower" => is_lower_text(text),
        "isupper" => is_upper_text(text),
        "istitle" => {
            let (mut inside, mut any) = (false, false);
            for letter in text.chars() {
                let capital = is_upper(letter) || is_titlecase(letter);
                if capital && inside || is_lower(letter) && !inside {
                    return Some(false);
                }
                inside = capital || is_lower(letter);
                any |= inside;
            }
            any
        }
        "isidentifier" => {
            let mut letters = text.chars();
            letters.next().is_some_and(|first| first == '_' || first.is_alphabetic())
                && letters.all(|letter| letter == '_' || is_decimal(letter) || letter.is_alphabetic())
        }
        _ => return None,
    })
}

pub(crate) fn is_lower_text(text: &str) -> bool {
    text.chars().any(char::is_lowercase) && !text.chars().any(|letter| letter.is_uppercase() || is_titlecase(letter))
}

pub(crate) fn is_upper_text(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(|letter| letter.is_lowercase() || is_titlecase(letter))
}

/// The methods that change letters.
fn changed(text: &str, name: &str) -> Option<String> {
    Some(match name {
        "lower" => text.to_lowercase(),
        "upper" => text.to_uppercase(),
        "casefold" => text.chars().map(to_casefold).collect(),
        "capitalize" => capitalize(text),
        "title" => title(text),
        "swapcase" => swapped(text),
        _ => return None,
    })
}

/// The small letters of a text from here on: the form of a final sigma depends on what is before it.
fn lower_after(text: &str, at: usize) -> String {
    let before = text[..at].to_lowercase();
    text.to_lowercase().strip_prefix(&before).map_or_else(|| text[at..].to_lowercase(), str::to_owned)
}

pub(crate) fn capitalize(text: &str) -> String {
    let Some(first) = text.chars().next() else {
        return String::new();
    };
    to_title(first) + &lower_after(text, first.len_utf8())
}

fn title(text: &str) -> String {
    let lower: Vec<String> = {
        let mut at = 0;
        let whole = text.to_lowercase();
        let mut rest = whole.as_str();
        text.chars()
            .map(|letter| {
                at += letter.len_utf8();
                // A letter becomes as many small ones as it does alone.
                let count = letter.to_lowercase().count();
                let length = rest.char_indices().nth(count).map_or(rest.len(), |(length, _)| length);
                let (small, behind) = rest.split_at(length);
                rest = behind;
                small.to_owned()
            })
            .collect()
    };
    let mut out = String::new();
    let mut inside = false;
    for (letter, small) in text.chars().zip(lower) {
        if inside {
            out.push_str(&small);
        } else {
            out.push_str(&to_title(letter));
        }
        inside = letter.is_uppercase() || letter.is_lowercase() || is_titlecase(letter);
    }
    out
}

fn swapped(text: &str) -> String {
    let mut out = String::new();
    for (at, letter) in text.char_indices() {
        if letter.is_uppercase() {
            let small = lower_after(text, at);
            let count = letter.to_lowercase().count();
            out.extend(small.chars().take(count));
        } else if letter.is_lowercase() {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
    }
    out
}

fn strip<'t>(text: &'t str, name: &str, letters: Option<Value>) -> Result<&'t str> {
    let letters = match letters {
        None | Some(Value::None) => None,
        Some(letters) => Some(text_of(&letters, name)?.to_owned()),
    };
    let drops = |letter: char| letters.as_ref().map_or_else(|| is_space(letter), |all| all.contains(letter));
    Ok(match name {
        "lstrip" => text.trim_start_matches(drops),
        "rstrip" => text.trim_end_matches(drops),
        _ => text.trim_matches(drops),
    })
}

pub(crate) fn pad(text: &str, name: &str, width: usize, fill: Option<Value>) -> Result<String> {
    let fill = fill.unwrap_or_else(|| Value::str(" "));
    let fill = text_of(&fill, name)?;
    if fill.chars().count() != 1 {
        return type_error("The fill character must be exactly one character long");
    }
    let missing = width.saturating_sub(text.chars().count());
    let left = match name {
        "ljust" => 0,
        "rjust" => missing,
        // Python puts the odd one to the left where the width is odd.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left)))
}

fn zfill(text: &str, width: usize) -> String {
    let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
    match text.strip_prefix(['+', '-']) {
        Some(rest) => format!("{}{zeros}{rest}", &text[..1]),
        None => format!("{zeros}{text}"),
    }
}

fn expand_tabs(text: &str, size: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for letter in text.chars() {
        match letter {
            '\t' if size > 0 => {
                let blanks = size - column % size;
                out.push_str(&" ".repeat(blanks));
                column += blanks;
            }
            '\t' => {}
            _ => {
                out.push(letter);
                column = if matches!(letter, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    out
}

pub(crate) fn join(separator: &str, items: &Value) -> Result<String> {
    let mut out = String::new();
    for (index, item) in iterate(items)?.iter().enumerate() {
        let Some(text) = item.as_str() else {
            return type_error(format!("sequence item {index}: expected str instance, {} found", item.type_name()));
        };
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    Ok(out)
}
