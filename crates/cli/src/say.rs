//! The result goes to standard output, everything else to standard error.

use std::{
    fmt::Display,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    error::CliError,
    terminal::{Stream, Style},
    wrap::wrapped,
};

/// Whether there is nothing on standard error but warnings, errors and what was asked for.
static QUIET: AtomicBool = AtomicBool::new(false);

pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// `eprintln!`, except that a closed standard error is no reason to fail.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

/// As [`say`], for what `--quiet` leaves out: status, costs, notes.
macro_rules! status {
    ($($words:tt)*) => {{
        if !$crate::say::is_quiet() {
            $crate::say::say!($($words)*);
        }
    }};
}

pub(crate) use {say, status};

/// One line on standard error for each.
pub fn warn<T: AsRef<str>>(warnings: impl IntoIterator<Item = T>) {
    for warning in warnings {
        say_styled(Style::Warning, "glass: warning:", &one_line(warning.as_ref()));
    }
}

/// A note of `glass chat`, which `--quiet` leaves out.
pub fn note(text: &str) {
    if !is_quiet() {
        tell(text);
    }
}

/// What was asked for, or must be known: lines on standard error that break between words and stay behind what is said.
pub fn tell(text: &str) {
    let text = fitted(text);
    let painted = |line: &str| if Stream::Err.has_colours() { Style::Note.paint(line) } else { line.to_owned() };
    say!("{}", text.lines().map(painted).collect::<Vec<_>>().join("\n"));
}

/// A line that begins with what it is.
pub fn say_styled(style: Style, what: &str, text: &str) {
    let line = fitted(&format!("{what} {text}"));
    match line.strip_prefix(what).filter(|_| Stream::Err.has_colours()) {
        Some(rest) => say!("{}{rest}", style.paint(what)),
        None => say!("{line}"),
    }
}

/// Broken between words where there is a terminal.
fn fitted(text: &str) -> String {
    match Stream::Err.columns() {
        Some(columns) => wrapped(text, columns),
        None => text.to_owned(),
    }
}

/// The beginning of a line on standard error.
pub fn say_part(text: &str) {
    let _ = write!(io::stderr(), "{text}");
}

/// One line in which nothing from a file can steer the terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for part in text.split(['\n', '\r']).map(str::trim) {
        if !line.is_empty() && !part.is_empty() {
            line.push(' ');
        }
        for letter in part.chars() {
            if letter.is_control() {
                line.extend(letter.escape_default());
            } else {
                line.push(letter);
            }
        }
    }
    line
}

/// A line of the result.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_line(line: impl Display) -> Result<(), CliError> {
    writeln!(io::stdout(), "{line}").map_err(CliError::stdout)
}
