//! Messages, from a line editor or from a pipe.

use std::io::{self, BufRead};

use super::editor::LineEditor;
use crate::{args, error::CliError, interrupt, say::say_part, terminal};

pub enum Event {
    /// A message, never empty.
    Text(String),
    /// A message that cannot be read, and why.
    Unreadable(String),
    /// Ctrl-C at the prompt; `empty` if nothing had been typed, which is gone.
    Interrupted { empty: bool },
    /// Ctrl-D, or the end of the pipe.
    End,
}

pub enum Input {
    Editor(Box<LineEditor>),
    /// A pipe, or a terminal that cannot move its cursor: that gets a prompt.
    Lines {
        stdin: io::StdinLock<'static>,
        line: usize,
        prompt: bool,
    },
}

pub const PROMPT: &str = "> ";

const QUOTES: &str = "\"\"\"";

impl Input {
    /// # Errors
    /// The terminal cannot be used.
    pub fn open(terminal: bool, args: &args::Chat) -> Result<Self, CliError> {
        if terminal && !terminal::is_dumb() {
            return Ok(Self::Editor(Box::new(LineEditor::open(args)?)));
        }
        Ok(Self::Lines { stdin: io::stdin().lock(), line: 0, prompt: terminal })
    }

    /// # Errors
    /// Standard input cannot be read.
    pub fn next(&mut self) -> Result<Event, CliError> {
        loop {
            let event = match self {
                Self::Editor(editor) => editor.next()?,
                Self::Lines { stdin, line, prompt } => {
                    if *prompt {
                        say_part(PROMPT);
                        // The terminal clears the line itself.
                        interrupt::patience(1);
                    }
                    message(stdin, line).map_err(unreadable)?
                }
            };
            let Event::Text(typed) = event else {
                return Ok(event);
            };
            let text = unquoted(&typed);
            if !text.trim().is_empty() {
                return Ok(Event::Text(text));
            }
        }
    }
}

/// The lines of one message; those there are, if the pipe ends in it. `number` counts lines.
fn message(lines: &mut impl BufRead, number: &mut usize) -> io::Result<Event> {
    let mut typed = String::new();
    let mut wrong = None;
    loop {
        let mut line = Vec::new();
        let read = lines.read_until(b'\n', &mut line)?;
        *number += 1;
        if read == 0 {
            return Ok(match wrong {
                Some(wrong) => Event::Unreadable(wrong),
                None if typed.is_empty() => Event::End,
                None => Event::Text(typed),
            });
        }
        if let Err(error) = std::str::from_utf8(&line) {
            let byte = error.valid_up_to() + 1;
            wrong.get_or_insert_with(|| format!("line {number} is not UTF-8 (byte {byte}): your message was not said"));
        }
        let line = String::from_utf8_lossy(&line);
        typed.push_str(line.strip_suffix('\n').unwrap_or(&line));
        if typed.ends_with('\r') {
            typed.pop();
        }
        if !continues(&typed) {
            return Ok(wrong.map_or(Event::Text(typed), Event::Unreadable));
        }
        typed.push('\n');
    }
}

pub fn unreadable(error: impl std::fmt::Display) -> CliError {
    CliError::Usage(format!("cannot read standard input: {error}"))
}

/// Whether another line belongs to the message.
pub fn continues(typed: &str) -> bool {
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
