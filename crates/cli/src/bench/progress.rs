//! Progress of a benchmark.

use std::{ops::ControlFlow, time::Duration};

use glass_bench::Watch;
use indicatif::ProgressBar;

use crate::{bars, interrupt, say::warn};

/// A bar of rounds on standard error; indicatif draws none where that is not a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new() -> Self {
        Self(bars::with_prefix())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Watch for Progress {
    fn now(&mut self, what: &str, (done, left): (usize, usize), remaining: Option<Duration>) {
        if done + left > 0 {
            self.0.set_length((done + left) as u64);
            self.0.set_position(done as u64);
        }
        let mut numbers = match self.0.length() {
            None | Some(0) => String::new(),
            Some(all) => format!(" {} of {all} rounds", self.0.position()),
        };
        if let Some(time) = remaining {
            numbers += &format!(", {} left", bars::time(time));
        }
        self.0.set_prefix(numbers);
        self.0.set_message(what.to_owned());
    }

    fn warn(&mut self, line: &str) {
        self.0.suspend(|| warn([line]));
    }

    fn flow(&mut self) -> ControlFlow<()> {
        self.0.tick();
        interrupt::flow()
    }
}
