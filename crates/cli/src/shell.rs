//! Command lines that messages suggest.

use std::path::Path;

/// A path as a shell has to be given it: quoted where a letter of it would mean something else, and never an option.
pub fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    if let Ok(text) = str::from_utf8(bytes)
        && !text.chars().any(char::is_control)
    {
        let dot = if text.starts_with('-') { "./" } else { "" };
        let plain = |letter: char| letter.is_alphanumeric() || "/._-+:@%,".contains(letter);
        if !text.is_empty() && text.chars().all(plain) {
            return format!("{dot}{text}");
        }
        return format!("'{dot}{}'", text.replace('\'', r"'\''"));
    }
    // What is not text, or would steer the terminal, is written in numbers.
    let dot = if bytes.starts_with(b"-") { "./" } else { "" };
    let letter = |&byte: &u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("$'{dot}{}'", bytes.iter().map(letter).collect::<String>())
}
