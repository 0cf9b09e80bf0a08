//! What a terminal can show, and what it must not.

use std::{
    env,
    io::{self, IsTerminal},
};

use terminal_size::{Width, terminal_size_of};

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

impl Stream {
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        }
    }

    /// Columns of the terminal; `None` where there is none, or none that knows.
    pub fn width(self) -> Option<usize> {
        let size = match self {
            Self::Out => terminal_size_of(io::stdout()),
            Self::Err => terminal_size_of(io::stderr()),
        };
        let (Width(columns), _) = size.filter(|_| self.is_terminal())?;
        Some(usize::from(columns)).filter(|&columns| columns > 0)
    }

    /// Columns that a line may fill while it is written; `None` too where nobody knows where the cursor is. The last column
    /// stays free: behind a character in it, terminals disagree about where the cursor is.
    pub fn columns(self) -> Option<usize> {
        let width = self.width().filter(|_| !is_dumb())?;
        Some(width.saturating_sub(1).max(2))
    }

    pub fn has_colours(self) -> bool {
        has_colours(self.is_terminal())
    }
}

/// Whether colours are wanted where there is a terminal, or none: as <https://no-color.org> and
/// <https://bixense.com/clicolors> have it.
pub fn has_colours(is_terminal: bool) -> bool {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    is_terminal && !is_dumb() && set("CLICOLOR").is_none_or(|value| value != "0")
}

/// A terminal that shows characters and nothing else.
pub fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|name| name == "dumb")
}

/// What a text is, to who reads it. What the model writes is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Prompt,
    Typed,
    Note,
    Warning,
    Error,
}

impl Style {
    /// The text between the sequences that switch this style on and off.
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Prompt => "1;36",
            Self::Typed => "1",
            Self::Note => "2",
            Self::Warning => "1;33",
            Self::Error => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(unix)]
pub use echo::{Silence, speak};

#[cfg(unix)]
mod echo {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

    use super::Stream;

    /// What the terminal's modes were.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// While it lives, the terminal shows nothing that is typed, `^C` neither. What was typed is there for the next line.
    pub struct Silence(());

    impl Silence {
        /// Nothing where the text goes elsewhere: who pages it reads keys from this terminal.
        pub fn begin() -> Self {
            if Stream::Out.is_terminal()
                && is_ours()
                && let Ok(before) = tcgetattr(io::stdin())
            {
                let mut silent = before.clone();
                silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
                if tcsetattr(io::stdin(), OptionalActions::Now, &silent).is_ok() {
                    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
                }
            }
            Self(())
        }
    }

    impl Drop for Silence {
        fn drop(&mut self) {
            speak();
        }
    }

    /// Ends the silence, if there is one: for who ends the process, too.
    pub fn speak() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before.filter(|_| is_ours()) {
            // The terminal may be gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }

    /// Whether standard input is a terminal on which this process is in the foreground: the system stops one in the
    /// background that changes its terminal.
    fn is_ours() -> bool {
        // SAFETY: it reads a number, and cannot fail.
        let group = unsafe { libc::getpgrp() };
        tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground.as_raw_nonzero().get() == group)
    }
}

/// Consoles elsewhere do not echo while nobody reads.
#[cfg(not(unix))]
pub struct Silence(());

#[cfg(not(unix))]
impl Silence {
    pub fn begin() -> Self {
        Self(())
    }
}

#[cfg(not(unix))]
pub fn speak() {}
