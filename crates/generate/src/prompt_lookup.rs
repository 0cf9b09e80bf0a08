//! Prompt lookup: several tokens from one pass, without a second model.
//!
//! Texts repeat themselves: what followed the last few tokens when they stood here before is a good guess of what follows
//! now (Saxena 2023, "Prompt Lookup Decoding"; `prompt_lookup_num_tokens` in transformers). The guess, the *draft*, goes
//! through the model in one pass together with the last token, which costs little more than that token alone where weights
//! are what a pass waits for. The pass gives a row of logits behind every draft token, and each of those rows is right as
//! long as the draft before it is what was chosen.
//!
//! Nothing of it is approximate. Speculative sampling (Leviathan et al. 2023, arXiv:2211.17192, section 2.3) accepts a
//! draft token t, of which its draft model was sure, with the model's probability p(t), and else draws from p without t.
//! Drawing from p, and accepting if that is t, is the same; so the sampler draws as always, at every place behind its own
//! text, and with the same seed it draws the same text as without drafts. Logits of passes of different lengths may differ
//! by rounding, as they do between devices.

use std::time::Duration;

/// The longest end of the text that is looked for, in tokens; if it has not occurred before, shorter ones are.
const NGRAM: usize = 3;

/// What the drafts of a text brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speculation {
    /// Passes over generated tokens.
    pub passes: usize,
    /// Tokens that were guessed, and how many of them were chosen.
    pub drafted: usize,
    pub accepted: usize,
    /// Time of all passes.
    pub time: Duration,
    /// Passes without a draft, and their time.
    pub plain_passes: usize,
    pub plain_time: Duration,
}

impl Speculation {
    /// Tokens per pass; 1 without drafts.
    pub fn tokens_per_pass(&self) -> Option<f64> {
        (self.passes > 0).then(|| (self.passes + self.accepted) as f64 / self.passes as f64)
    }

    /// Share of the draft tokens that were chosen.
    pub fn acceptance(&self) -> Option<f64> {
        (self.drafted > 0).then(|| self.accepted as f64 / self.drafted as f64)
    }

    /// How many times as long plain passes would have taken for the same tokens, judged by those passes that had no draft;
    /// `None` if there was none.
    pub fn speed_up(&self) -> Option<f64> {
        let plain = self.plain_time.as_secs_f64() / self.plain_passes as f64;
        let tokens = (self.passes + self.accepted) as f64;
        (self.plain_passes > 0).then(|| tokens * plain / self.time.as_secs_f64().max(1e-9))
    }
}

/// What followed when the end of `previous` last occurred in it, `most` tokens of it. Where that runs into the end itself,
/// it goes on with what it has drafted: a text that repeats a short phrase is drafted to any length.
pub(crate) fn draft(previous: &[u32], most: usize) -> Vec<u32> {
    let len = previous.len();
    let before = |n: usize| {
        let end = &previous[len - n..];
        let mut places = previous[..len - 1].windows(n);
        places.rposition(|ids| ids == end).map(|place| place + n)
    };
    let lengths = (1..=NGRAM.min(len.saturating_sub(1))).rev();
    let Some(from) = lengths.filter_map(before).next() else {
        return Vec::new();
    };
    let mut text: Vec<u32> = previous[from..].iter().copied().take(most).collect();
    for index in 0..most - text.len() {
        text.push(text[index]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_what_followed_the_longest_end_that_occurred_before() {
        for (previous, most, expected) in [
            (&[][..], 3, &[][..]),
            (&[1], 3, &[]),
            (&[1, 2, 3], 3, &[]),
            // The newest of two places.
            (&[1, 7, 8, 1, 9, 4, 1], 2, &[9, 4]),
            // Two tokens are better than one, and three better than two.
            (&[1, 2, 7, 5, 2, 8, 5, 1, 2], 2, &[7, 5]),
            (&[3, 1, 2, 7, 4, 1, 2, 8, 5, 3, 1, 2], 2, &[7, 4]),
            // It runs into the end.
            (&[1, 2, 3, 1, 2, 3], 7, &[1, 2, 3, 1, 2, 3, 1]),
            (&[5, 5], 3, &[5, 5, 5]),
            (&[1, 2, 3, 1, 2, 3], 0, &[]),
        ] {
            assert_eq!(draft(previous, most), expected, "{previous:?} {most}");
        }
    }

    #[test]
    fn the_speed_up_is_by_plain_passes() {
        let none = Speculation::default();
        assert_eq!((none.acceptance(), none.tokens_per_pass(), none.speed_up()), (None, None, None));
        let some = Speculation {
            passes: 10,
            drafted: 16,
            accepted: 12,
            time: Duration::from_millis(110),
            plain_passes: 4,
            plain_time: Duration::from_millis(40),
        };
        assert_eq!(some.acceptance(), Some(0.75));
        assert_eq!(some.tokens_per_pass(), Some(2.2));
        assert!(some.speed_up().is_some_and(|times| (times - 2.0).abs() < 1e-9));
    }
}
