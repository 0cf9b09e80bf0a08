//! How many tokens a draft model guesses before each pass: more where its guesses hold, none where they cost more than they
//! bring.

use std::time::Duration;

/// Guesses in a row, at most.
pub const MAX_DRAFT: usize = 16;

/// Guesses in a row at first.
const FIRST: usize = 4;

/// Passes without a guess at the beginning, and after drafts that did not pay: what they take is what drafts must beat.
const PLAIN: usize = 4;

/// Passes with guesses before it is decided whether they pay ...
const TRIAL: usize = 8;

/// ... and before those end that take so many times as long as none.
const FAILING: (usize, f64) = (2, 1.3);

/// The most passes without a guess between two trials: their number doubles from trial to trial that does not pay.
const LONGEST_PAUSE: usize = 256;

/// What was learned of drafts so far.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Guesses in a row.
    draft: usize,
    /// Passes without a guess that are still to come, and how many come after the next trial that fails.
    plain: usize,
    pause: usize,
    /// Of the newest passes of each kind.
    without: Cost,
    with: Cost,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    passes: usize,
    tokens: usize,
    time: Duration,
}

impl Cost {
    fn add(&mut self, tokens: usize, time: Duration) {
        self.passes += 1;
        self.tokens += tokens;
        self.time += time;
    }

    /// Not a number as long as there are none.
    fn per_token(&self) -> f64 {
        self.time.as_secs_f64() / self.tokens as f64
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { draft: FIRST, plain: PLAIN, pause: 2 * PLAIN, without: Cost::default(), with: Cost::default() }
    }
}

impl Pace {
    /// How many tokens to guess now.
    pub fn draft(&self) -> usize {
        if self.plain > 0 { 0 } else { self.draft }
    }

    /// Notes a pass: so many tokens were guessed and chosen, in this time, drafting included.
    pub fn note(&mut self, drafted: usize, accepted: usize, time: Duration) {
        if drafted == 0 {
            self.plain = self.plain.saturating_sub(1);
            self.without.add(1, time);
            return;
        }
        // As `num_assistant_tokens_schedule = "heuristic"` of transformers.
        self.draft = if accepted == drafted { (self.draft + 2).min(MAX_DRAFT) } else { (self.draft - 1).max(1) };
        self.with.add(1 + accepted, time);
        let times = self.with.per_token() / self.without.per_token();
        let fails = self.with.passes >= FAILING.0 && times > FAILING.1;
        if self.with.passes < TRIAL && !fails {
            return;
        }
        if times > 1.0 {
            self.plain = self.pause;
            self.pause = (2 * self.pause).min(LONGEST_PAUSE);
            self.draft = FIRST;
            self.without = Cost::default();
        } else {
            self.pause = 2 * PLAIN;
        }
        self.with = Cost::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens and seconds of a text of so many passes, where a pass takes a second, a guess `guess` seconds, and the first
    /// `right` guesses of a draft hold.
    fn write(passes: usize, guess: f64, right: usize) -> (usize, f64) {
        let (mut pace, mut tokens, mut seconds) = (Pace::default(), 0, 0.0);
        for _ in 0..passes {
            let drafted = pace.draft();
            let (accepted, took) = (drafted.min(right), 1.0 + drafted as f64 * guess);
            pace.note(drafted, accepted, Duration::from_secs_f64(took));
            tokens += 1 + accepted;
            seconds += took;
        }
        (tokens, seconds)
    }

    #[test]
    fn drafts_grow_while_they_hold() {
        let (tokens, seconds) = write(200, 0.05, usize::MAX);
        assert!(tokens as f64 / seconds > 0.8 * 17.0 / 1.8, "{tokens} in {seconds}");
        let (tokens, seconds) = write(200, 0.05, 3);
        assert!(tokens as f64 / seconds > 2.5, "{tokens} in {seconds}");
    }

    #[test]
    fn drafts_that_do_not_pay_are_left_out() {
        for (guess, right) in [(0.1, 0), (0.9, 1), (1.5, usize::MAX)] {
            let (tokens, seconds) = write(2000, guess, right);
            let rate = tokens as f64 / seconds;
            assert!(rate > 0.93, "{guess} {right}: {rate}");
        }
    }
}
