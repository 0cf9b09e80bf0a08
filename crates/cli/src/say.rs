//! The result goes to standard output, everything else to standard error.

use std::{
    fmt::Display,
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::error::CliError;

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
        say!("glass: warning: {}", one_line(warning.as_ref()));
    }
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
