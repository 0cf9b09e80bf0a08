//! Everything that is not the result goes to standard error.

/// `eprintln!`, except that a reader who has closed standard error is no reason to fail.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

pub(crate) use say;
