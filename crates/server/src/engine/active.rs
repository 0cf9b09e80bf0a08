//! A request whose turn has come.

use std::time::Instant;

use glass_generate::{FinishReason, Sequence, SequenceId, TokenLogprobs};

use super::{
    Event, Timings, Usage,
    arrival::{Arrival, Ready},
};

pub(super) struct Active<'m> {
    pub request: Arrival,
    /// Counts requests.
    pub number: u64,
    pub phase: Phase<'m>,
    /// Its texts that are not over, with their numbers and the tokens of each so far.
    pub choices: Vec<Choice>,
    /// Whether its beginning is shared with others.
    pub shares: bool,
    pub cached_tokens: usize,
    pub failed: bool,
    pub began: Instant,
    first_token: Option<Instant>,
}

pub(super) enum Phase<'m> {
    /// Not in the engine yet.
    Outside(Vec<Sequence<'m>>, Option<Held>),
    /// The prompt is read as this text's.
    Reading(SequenceId),
    Writing,
}

/// Another request reads the same beginning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Its number.
    pub by: u64,
    /// Tokens that both begin with, in whole pieces.
    pub until: usize,
}

pub(super) struct Choice {
    pub number: usize,
    /// Where it is in the engine.
    pub id: SequenceId,
    pub tokens: usize,
}

impl<'m> Active<'m> {
    pub fn new(Ready { arrival, sequences }: Ready<'m>, number: u64, shares: bool) -> Self {
        Self {
            request: arrival,
            number,
            phase: Phase::Outside(sequences, None),
            choices: Vec::new(),
            shares,
            cached_tokens: 0,
            failed: false,
            began: Instant::now(),
            first_token: None,
        }
    }

    /// Texts that are not over.
    pub fn texts(&self) -> usize {
        match &self.phase {
            Phase::Outside(sequences, _) => sequences.len(),
            Phase::Reading(_) | Phase::Writing => self.choices.len(),
        }
    }

    /// Bytes of keys and values that they may come to need.
    pub fn bytes(&self) -> u64 {
        self.request.text_bytes.saturating_mul(self.texts() as u64)
    }

    pub fn reading(&self) -> Option<SequenceId> {
        match self.phase {
            Phase::Reading(id) => Some(id),
            Phase::Outside(..) | Phase::Writing => None,
        }
    }

    /// Who has left is not there to hear it; the next step sees that.
    pub fn tell(&self, event: Event) {
        let _ = self.request.events.send(event);
    }

    /// The prompt is being read.
    pub fn begin(&mut self, cached_tokens: usize, ids: &[SequenceId]) {
        self.began = Instant::now();
        self.cached_tokens = cached_tokens;
        let choices = ids.iter().enumerate();
        self.choices = choices.map(|(number, &id)| Choice { number, id, tokens: 0 }).collect();
        self.phase = Phase::Reading(ids[0]);
        self.tell(Event::Started { cached_tokens });
    }

    /// A token of the choice at this place; true if it is the request's first.
    pub fn token(&mut self, place: usize, id: Option<u32>, text: String, logprobs: Option<TokenLogprobs>) -> bool {
        let choice = &mut self.choices[place];
        choice.tokens += usize::from(id.is_some());
        let choice = choice.number;
        self.tell(Event::Token { choice, id, text, logprobs });
        self.phase = Phase::Writing;
        let is_first = self.first_token.is_none();
        self.first_token.get_or_insert_with(Instant::now);
        is_first
    }

    /// The choice at this place is over.
    pub fn finish(&mut self, place: usize, reason: FinishReason) {
        let Choice { number, tokens, .. } = self.choices.remove(place);
        self.tell_finished(number, tokens, reason);
    }

    /// Not a single new token was asked for.
    pub fn finish_at_once(&mut self, reason: FinishReason) {
        self.began = Instant::now();
        self.tell(Event::Started { cached_tokens: 0 });
        for choice in 0..self.texts() {
            self.tell_finished(choice, 0, reason);
        }
        self.phase = Phase::Writing;
    }

    fn tell_finished(&self, choice: usize, completion_tokens: usize, reason: FinishReason) {
        let now = Instant::now();
        let first = self.first_token.unwrap_or(now);
        let usage =
            Usage { prompt_tokens: self.request.ids.len(), cached_tokens: self.cached_tokens, completion_tokens };
        let timings =
            Timings { queued: self.began - self.request.arrived, prompt: first - self.began, decode: now - first };
        self.tell(Event::Finished { choice, reason, usage, timings });
    }
}
