//! Messages, from a line editor or from a pipe.

use std::{
    cell::Cell,
    io::{self, BufRead},
};

use rustyline::{
    Behavior, Config, Context, Editor, Helper,
    completion::Completer,
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::MemHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use crate::error::CliError;

pub enum Said {
    /// Never empty.
    Text(String),
    /// Ctrl-C; what was being typed is gone, if anything was.
    Interrupted { empty: bool },
    /// Ctrl-D, or the end of the pipe.
    Nothing,
}

pub enum Input {
    Terminal(Box<Editor<Lines, MemHistory>>),
    Pipe(io::StdinLock<'static>),
}

const QUOTES: &str = "\"\"\"";

impl Input {
    pub fn open(terminal: bool) -> Result<Self, CliError> {
        if !terminal {
            return Ok(Self::Pipe(io::stdin().lock()));
        }
        // What is typed is no result: it stays out of a standard output that goes elsewhere.
        let config = Config::builder().behavior(Behavior::PreferTerm).build();
        let mut editor = Editor::with_history(config, MemHistory::new()).map_err(unreadable)?;
        editor.set_helper(Some(Lines::default()));
        Ok(Self::Terminal(Box::new(editor)))
    }

    pub fn next(&mut self) -> Result<Said, CliError> {
        loop {
            let typed = match self {
                Self::Terminal(editor) => {
                    if let Some(lines) = editor.helper() {
                        lines.empty.set(true);
                    }
                    match editor.readline("> ") {
                        Ok(typed) => {
                            editor
                                .add_history_entry(typed.as_str())
                                .map_err(unreadable)?;
                            typed
                        }
                        Err(ReadlineError::Interrupted) => {
                            let empty = editor.helper().is_none_or(|lines| lines.empty.get());
                            return Ok(Said::Interrupted { empty });
                        }
                        Err(ReadlineError::Eof) => return Ok(Said::Nothing),
                        Err(error) => return Err(unreadable(error)),
                    }
                }
                Self::Pipe(stdin) => match message(stdin)? {
                    Some(typed) => typed,
                    None => return Ok(Said::Nothing),
                },
            };
            let text = meant(&typed);
            if !text.trim().is_empty() {
                return Ok(Said::Text(text));
            }
        }
    }
}

/// The lines of one message; what there is, if the pipe ends in it.
fn message(lines: &mut impl BufRead) -> Result<Option<String>, CliError> {
    let mut typed = String::new();
    loop {
        let mut line = String::new();
        let read = lines.read_line(&mut line).map_err(unreadable)?;
        typed.push_str(line.strip_suffix('\n').unwrap_or(&line));
        if read == 0 {
            return Ok((!typed.is_empty()).then_some(typed));
        }
        if typed.ends_with('\r') {
            typed.pop();
        }
        if !goes_on(&typed) {
            return Ok(Some(typed));
        }
        typed.push('\n');
    }
}

fn unreadable(error: impl std::fmt::Display) -> CliError {
    CliError::Usage(format!("cannot read standard input: {error}"))
}

/// Whether another line belongs to it.
fn goes_on(typed: &str) -> bool {
    match typed.strip_prefix(QUOTES) {
        Some(quoted) => !quoted.trim_end().ends_with(QUOTES),
        None => typed.ends_with('\\'),
    }
}

/// The text without the signs that hold its lines together.
fn meant(typed: &str) -> String {
    let Some(quoted) = typed.strip_prefix(QUOTES) else {
        let lines = typed.replace("\\\n", "\n");
        return match lines.strip_suffix('\\') {
            Some(text) => text.to_owned(),
            None => lines,
        };
    };
    let quoted = quoted.trim_end();
    let quoted = quoted.strip_suffix(QUOTES).unwrap_or(quoted);
    let quoted = quoted.strip_prefix('\n').unwrap_or(quoted);
    quoted.strip_suffix('\n').unwrap_or(quoted).to_owned()
}

/// Keeps the editor in a message until its last line.
#[derive(Default)]
pub struct Lines {
    /// Nothing is typed.
    empty: Cell<bool>,
}

impl Validator for Lines {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match goes_on(context.input()) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Hinter for Lines {
    type Hint = String;

    /// No hint; but whoever is asked for one sees what is typed.
    fn hint(&self, line: &str, _pos: usize, _context: &Context<'_>) -> Option<String> {
        self.empty.set(line.is_empty());
        None
    }
}

impl Completer for Lines {
    type Candidate = String;
}

impl Highlighter for Lines {}

impl Helper for Lines {}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(mut piped: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(typed) = message(&mut piped).expect("readable") {
            all.push(meant(&typed));
        }
        all
    }

    #[test]
    fn a_message_is_a_line_or_several() {
        for (piped, meant) in [
            ("a\nb\n", &["a", "b"][..]),
            ("a\r\nb", &["a", "b"]),
            ("a\\\nb\\\n\\\nc\nd\n", &["a\nb\n\nc", "d"]),
            ("a \\ b\n", &["a \\ b"]),
            ("\"\"\"a\n\"b\"\n\nc\"\"\"\nd\n", &["a\n\"b\"\n\nc", "d"]),
            ("\"\"\"\n  a\n  b\\\n\"\"\"  \nd\n", &["  a\n  b\\", "d"]),
            ("\"\"\"a\"\"\"\n", &["a"]),
            ("a\\\n", &["a\n"]),
            ("\"\"\"a\nb\n", &["a\nb"]),
            ("", &[]),
        ] {
            assert_eq!(messages(piped.as_bytes()), meant, "{piped:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_an_error() {
        assert!(message(&mut &b"caf\xe9\n"[..]).is_err());
    }
}
