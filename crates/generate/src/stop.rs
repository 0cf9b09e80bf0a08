//! When generation ends: an end-of-sequence id, a stop string, or enough tokens.
//!
//! As transformers' `stop_strings`, a stop string ends generation after the token that completes it, and that token
//! stays among the ids. Unlike there, the text ends before the stop string: a reader asked to stop at it, not to see
//! it.
//!
//! As there, stop strings are looked for in the text with its special tokens, which the text that is shown does not have.

use std::{fmt, mem, ops::Range};

use thiserror::Error;

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model generated an end-of-sequence token.
    Eos,
    /// The text contains a stop string.
    StopString,
    /// The text satisfies the schema that it is held to, and may or can not go on.
    Complete,
    /// As many tokens as were allowed.
    Length,
    /// The rules that look at the text forbid every token behind it.
    NoToken,
    /// Someone asked generation to end.
    Interrupted,
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eos => "eos",
            Self::StopString => "stop",
            Self::Complete => "complete",
            Self::Length => "length",
            Self::NoToken => "no_token",
            Self::Interrupted => "interrupted",
        })
    }
}

/// A stop rule that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StopError {
    #[error("stop string {index} is empty: it would stop before the first token; leave it out")]
    EmptyStopString { index: usize },
}

/// What one token brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopStep {
    /// Text that is final: it belongs to no stop string and cannot become part of one.
    pub text: String,
    /// Set once generation is over.
    pub finish: Option<FinishReason>,
}

/// Watches ids and text for the end of generation.
///
/// Push every generated token with its piece of text and, if it is a special token, the text that is not shown; whenever
/// generation is over, for whatever reason, call [`Self::finish`] with the detokenizer's last piece for the rest of the
/// text.
#[derive(Debug, Clone)]
pub struct StopRule {
    eos_ids: Vec<u32>,
    max_new_tokens: usize,
    new_tokens: usize,
    strings: StopStrings,
}

impl StopRule {
    /// # Errors
    /// When a stop string is empty.
    pub fn new(eos_ids: Vec<u32>, stop_strings: Vec<String>, max_new_tokens: usize) -> Result<Self, StopError> {
        Ok(Self { eos_ids, max_new_tokens, new_tokens: 0, strings: StopStrings::new(stop_strings)? })
    }

    /// How many more tokens may be generated.
    pub fn allowed(&self) -> usize {
        self.max_new_tokens.saturating_sub(self.new_tokens)
    }

    /// No token may be generated (any more).
    pub fn limit_reached(&self) -> bool {
        self.allowed() == 0
    }

    /// Whether there are stop strings, so that special tokens matter.
    pub fn has_strings(&self) -> bool {
        !self.strings.stops.is_empty()
    }

    /// Takes a generated id, its piece of text, and its text as a special token. Where several ends coincide, EOS counts
    /// before a stop string and that before the length.
    pub fn push(&mut self, id: u32, piece: &str, special: Option<&str>) -> StopStep {
        self.new_tokens += 1;
        let text = self.strings.push(piece, special.unwrap_or_default());
        let finish = if self.eos_ids.contains(&id) {
            Some(FinishReason::Eos)
        } else if self.strings.found {
            Some(FinishReason::StopString)
        } else if self.limit_reached() {
            Some(FinishReason::Length)
        } else {
            None
        };
        StopStep { text, finish }
    }

    /// Takes the last piece of text and returns all that was held back. A stop string that only this piece completes
    /// still cuts the text.
    pub fn finish(&mut self, piece: &str) -> String {
        let mut text = self.strings.push(piece, "");
        text.push_str(&self.strings.take(self.strings.held.len()));
        text
    }
}

/// Cuts a text that arrives in pieces at the first stop string.
///
/// The stop string that is complete first wins; of two that end at the same character, the one that begins earlier.
/// So the text does not depend on how it was cut into pieces.
#[derive(Debug, Clone)]
struct StopStrings {
    stops: Vec<String>,
    /// The end of the text so far, as far as it may be the beginning of a stop string.
    held: String,
    /// The parts of it that are not shown, in order.
    hidden: Vec<Range<usize>>,
    found: bool,
}

impl StopStrings {
    fn new(stops: Vec<String>) -> Result<Self, StopError> {
        if let Some(index) = stops.iter().position(String::is_empty) {
            return Err(StopError::EmptyStopString { index });
        }
        Ok(Self { stops, held: String::new(), hidden: Vec::new(), found: false })
    }

    /// Takes a piece that is shown, and behind it one that is not.
    fn push(&mut self, piece: &str, hidden: &str) -> String {
        if self.found {
            return String::new();
        }
        self.held.push_str(piece);
        if !hidden.is_empty() {
            let start = self.held.len();
            self.held.push_str(hidden);
            self.hidden.push(start..self.held.len());
        }
        let held = &self.held;
        let first = self.stops.iter().filter_map(|stop| held.find(stop).map(|start| (start + stop.len(), start))).min();
        if let Some((_, start)) = first {
            self.found = true;
            let text = self.take(start);
            self.held.clear();
            return text;
        }
        let open = self.stops.iter().map(|stop| overlap(held, stop)).max();
        let settled = held.len() - open.unwrap_or(0);
        self.take(settled)
    }

    /// Takes the first `length` bytes of what is held, and returns those of them that are shown.
    fn take(&mut self, length: usize) -> String {
        let rest = self.held.split_off(length);
        let taken = mem::replace(&mut self.held, rest);
        let mut text = String::new();
        let mut shown = 0;
        for hidden in &self.hidden {
            text.push_str(&taken[shown.min(length)..hidden.start.min(length)]);
            shown = hidden.end;
        }
        text.push_str(&taken[shown.min(length)..]);
        self.hidden.retain(|hidden| hidden.end > length);
        for hidden in &mut self.hidden {
            *hidden = hidden.start.saturating_sub(length)..hidden.end - length;
        }
        text
    }
}

/// The length in bytes of the longest beginning of `stop` with which `text` ends.
fn overlap(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(length, _)| length);
    lengths.rev().find(|&length| text.ends_with(&stop[..length])).unwrap_or(0)
}
