//! Progress of a benchmark.

use std::{ops::ControlFlow, time::Duration};

use glass_bench::Watch;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::{interrupt, say::warn};

/// A bar of rounds on standard error; indicatif draws none where that is not a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    pub fn new() -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len} rounds{prefix}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(0).with_style(style))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Watch for Progress {
    fn now(&mut self, what: &str, (done, left): (usize, usize), remaining: Option<Duration>) {
        let remaining = remaining.map(|time| format!(", {} left", HumanDuration(time)));
        if done + left > 0 {
            self.0.set_length((done + left) as u64);
            self.0.set_position(done as u64);
        }
        self.0.set_prefix(remaining.unwrap_or_default());
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
