//! Commands that a reader can copy into a shell.

use std::{fmt::Display, path::Path};

/// A word as a POSIX shell reads it: as it is where that is safe, else in single quotes.
pub fn quoted(word: impl Display) -> String {
    let word = word.to_string();
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(is_safe) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// A path that is no option, whatever its name.
pub fn quoted_path(path: &Path) -> String {
    let shown = path.display().to_string();
    quoted(if shown.starts_with('-') { format!("./{shown}") } else { shown })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        for word in
            ["plain", "a b", "it's", "", "$HOME", "`date`", "a\nb", "~", "é", "--x=y", "a\\b", "\"", "*", "!", "''"]
        {
            let script = format!("printf '%s' {}", quoted(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{script}");
        }
        assert_eq!(quoted("my-first/model_1.svg"), "my-first/model_1.svg");
        assert_eq!(quoted_path(Path::new("-rf")), "./-rf");
    }
}
