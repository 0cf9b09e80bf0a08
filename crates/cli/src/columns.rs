//! How wide terminals are.

use std::io::{self, IsTerminal};

use terminal_size::{Width, terminal_size_of};

/// Columns of a line on standard output; `None` where that is no terminal.
pub fn of_stdout() -> Option<usize> {
    let out = io::stdout();
    if out.is_terminal() { columns(terminal_size_of(out)) } else { None }
}

/// The same of standard error.
pub fn of_stderr() -> Option<usize> {
    let err = io::stderr();
    if err.is_terminal() { columns(terminal_size_of(err)) } else { None }
}

/// A terminal that does not know its size says 0.
fn columns(size: Option<(Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(Width(columns), _)| usize::from(columns)).filter(|&columns| columns > 0)
}
