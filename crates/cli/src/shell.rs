//! Command lines that messages suggest.

use std::{fmt::Display, path::Path};

/// A word as a shell reads it: as it is where that is safe, else in quotes.
pub fn quoted(word: impl Display) -> String {
    let word = word.to_string();
    let is_safe = |letter: char| letter.is_alphanumeric() || "/._-+:@%,".contains(letter);
    if !word.is_empty() && word.chars().all(is_safe) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A path that is no option, whatever its name.
pub fn quoted_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let dot = if bytes.starts_with(b"-") { "./" } else { "" };
    if let Some(text) = path.to_str().filter(|text| !text.contains(char::is_control)) {
        return quoted(format!("{dot}{text}"));
    }
    // What is not text, or would steer the terminal, is written in numbers.
    let letter = |&byte: &u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("$'{dot}{}'", bytes.iter().map(letter).collect::<String>())
}
