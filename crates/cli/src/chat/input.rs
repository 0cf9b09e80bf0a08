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

pub enum Event {
    /// A message, never empty.
    Text(String),
    /// Ctrl-C; `empty` if nothing had been typed.
    Interrupted { empty: bool },
    /// Ctrl-D, or the end of the pipe.
    End,
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
        // The echo of what is typed stays out of a redirected standard output.
        let config = Config::builder().behavior(Behavior::PreferTerm).build();
        let mut editor = Editor::with_history(config, MemHistory::new()).map_err(unreadable)?;
        editor.set_helper(Some(Lines::default()));
        Ok(Self::Terminal(Box::new(editor)))
    }

    pub fn next(&mut self) -> Result<Event, CliError> {
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
                            return Ok(Event::Interrupted { empty });
                        }
                        Err(ReadlineError::Eof) => return Ok(Event::End),
                        Err(error) => return Err(unreadable(error)),
                    }
                }
                Self::Pipe(stdin) => match message(stdin)? {
                    Some(typed) => typed,
                    None => return Ok(Event::End),
                },
            };
            let text = unquoted(&typed);
            if !text.trim().is_empty() {
                return Ok(Event::Text(text));
            }
        }
    }
}

/// The lines of one message; those there are, if the pipe ends in it.
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
        if !continues(&typed) {
            return Ok(Some(typed));
        }
        typed.push('\n');
    }
}

fn unreadable(error: impl std::fmt::Display) -> CliError {
    CliError::Usage(format!("cannot read standard input: {error}"))
}

/// Whether another line belongs to the message.
fn continues(typed: &str) -> bool {
    match typed.strip_prefix(QUOTES) {
        Some(quoted) => !quoted.trim_end().ends_with(QUOTES),
        None => typed.ends_with('\\'),
    }
}

/// The message without the signs that join its lines.
fn unquoted(typed: &str) -> String {
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

/// Keeps the editor in a message until its last line, and knows whether anything is typed.
#[derive(Default)]
pub struct Lines {
    /// Whether nothing is typed.
    empty: Cell<bool>,
}

impl Validator for Lines {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if continues(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Hinter for Lines {
    type Hint = String;

    /// Never a hint: the call shows what is typed.
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
