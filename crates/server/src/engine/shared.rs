//! What both sides of the door see.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Refused, Stats, service::Limits};

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub stats: Stats,
    /// Texts that were taken and are not over: those that run, and those of requests that wait.
    pub texts: usize,
    /// Seconds that a request runs, on average over the last ones.
    pub seconds: f64,
    /// Nobody comes in any more.
    pub closing: bool,
    /// The thread that computes has.
    pub ended: bool,
}

impl Shared {
    /// Numbers that any step leaves whole: a thread that panicked between two does no harm.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request with `n` texts as waiting.
    pub fn come_in(&self, n: usize, limits: &Limits) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closing || state.ended {
            return Err(Refused::ShuttingDown);
        }
        if state.texts + n > limits.parallel.saturating_add(limits.options.queue) {
            state.stats.refused += 1;
            let turns = (state.texts + n) as f64 / limits.parallel as f64;
            let retry_after = Duration::from_secs_f64((state.seconds * turns).clamp(1.0, 600.0));
            return Err(Refused::QueueFull { waiting: state.stats.waiting, retry_after });
        }
        state.texts += n;
        state.stats.waiting += 1;
        Ok(())
    }

    /// Notes the end when it is dropped, however that comes.
    pub fn ends(&self) -> impl Drop + '_ {
        struct Ends<'a>(&'a Shared);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.state().ended = true;
                self.0.ended.notify_all();
            }
        }
        Ends(self)
    }

    pub fn wait_for_end(&self) {
        let mut state = self.state();
        while !state.ended {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
