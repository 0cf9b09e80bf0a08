//! What can go wrong, in one line each.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("{path}: {source}", path = .path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {source}", path = .path.display())]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("config.json: `{field}` is {value}, {why}")]
    Config {
        field: &'static str,
        value: String,
        why: &'static str,
    },
    #[error("{0}")]
    Candle(#[from] candle_core::Error),
    #[error("cannot start {program}: {source}{advice}")]
    Start {
        program: String,
        source: std::io::Error,
        advice: &'static str,
    },
    #[error("{what}")]
    Process { what: String },
    #[error("its output is not the JSON of `glass generate --json`: {0}")]
    Output(serde_json::Error),
}

/// The line of a process's standard error that says most: the last one, except for Rust's note on backtraces.
pub fn last_words(stderr: &str) -> Option<&str> {
    let mut lines = stderr.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty() && !line.starts_with("note: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_why_is_found() {
        let panic = "thread 'main' panicked at llama.rs:1:2:\ncannot find tensor x\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(last_words(panic), Some("cannot find tensor x"));
        let python = "Traceback (most recent call last):\n  File\nValueError: no such model\n\n";
        assert_eq!(last_words(python), Some("ValueError: no such model"));
        assert_eq!(last_words(" \n\n"), None);
    }
}
