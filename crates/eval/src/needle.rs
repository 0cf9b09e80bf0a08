//! What a model still finds: haystacks of several lengths, with the needle at several depths.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_generate::{
    Llama, PrefillOptions, log_softmax_at,
    sampling::{SamplingError, argmax},
};
use rayon::prelude::*;

use super::{
    EvalError, FillerTokens, Haystack, Task,
    read::{Rows, read_texts},
};

/// Which haystacks are searched: so many of each task and length.
#[derive(Clone, Debug, PartialEq)]
pub struct NeedleTest {
    pub tasks: Vec<Task>,
    /// Tokens that are read, see [`Haystack::new`].
    pub lengths: Vec<NonZeroUsize>,
    pub trials: NonZeroUsize,
    /// The same seed gives the same haystacks: trial 3 of a task and length is the same one whatever else is searched.
    pub seed: u64,
}

/// What a model made of one token of an answer, when it had read all before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// What it holds most probable.
    pub id: u32,
    /// Negative log-likelihood of the right one, in nats.
    pub nll: f64,
}

/// What was found in the haystacks of one task and length.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NeedleScore {
    pub trials: usize,
    found: f64,
    tokens: usize,
    right: usize,
    nll: f64,
}

/// How far the search has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeedleProgress {
    /// Read so far.
    pub tokens: usize,
    /// How many there are to read.
    pub total: usize,
    /// Mean over the haystacks so far, see [`NeedleScore::found`].
    pub found: Option<f64>,
}

impl NeedleScore {
    /// Counts a haystack; `guesses` are about the tokens of its answers, in their order.
    ///
    /// Each token was guessed after the right ones before it. Up to the first wrong one that is what a model that goes on
    /// from its own greedy answers would have read, and later ones do not count.
    ///
    /// # Panics
    /// If there is not one guess for each token.
    pub fn add(&mut self, haystack: &Haystack, guesses: &[Guess]) {
        let asked: usize = haystack.answers.iter().map(ExactSizeIterator::len).sum();
        assert_eq!(guesses.len(), asked);
        let mut rest = guesses;
        let mut found = 0;
        let mut unbroken = true;
        for answer in &haystack.answers {
            let (these, others) = rest.split_at(answer.len());
            rest = others;
            let expected = &haystack.ids[answer.clone()];
            let right = these.iter().zip(expected).filter(|(g, id)| g.id == **id);
            let right = right.count();
            unbroken &= right == answer.len();
            found += usize::from(unbroken);
            self.right += right;
        }
        self.trials += 1;
        self.found += found as f64 / haystack.answers.len() as f64;
        self.tokens += asked;
        self.nll += guesses.iter().map(|guess| guess.nll).sum::<f64>();
    }

    /// Counts an answer in words, of which no token is judged.
    pub fn add_answer(&mut self, right: bool) {
        self.trials += 1;
        self.found += f64::from(u8::from(right));
    }

    /// Share of the answers that were right, token by token, before the first that was not; the mean over the haystacks,
    /// `None` without any. With one needle this is the share of needles retrieved, in a chain the mean share of hops.
    pub fn found(&self) -> Option<f64> {
        (self.trials > 0).then(|| self.found / self.trials as f64)
    }

    /// Share of the answers' tokens that were most probable, each after the right ones before it.
    pub fn tokens_right(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.right as f64 / self.tokens as f64)
    }

    /// Mean negative log-likelihood of the answers' tokens, in nats.
    pub fn mean_nll(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nll / self.tokens as f64)
    }
}

impl NeedleTest {
    /// How many tokens are read in all.
    pub fn tokens(&self) -> usize {
        let lengths: usize = self.lengths.iter().map(|length| length.get()).sum();
        lengths * self.trials.get() * self.tasks.len()
    }

    /// Whether all of these haystacks can be made.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self, filler: &FillerTokens) -> Result<(), EvalError> {
        for task in &self.tasks {
            for length in &self.lengths {
                task.check(length.get(), filler)?;
            }
        }
        Ok(())
    }

    /// Lets the model read the haystacks, and says what was found, by task and then by length.
    ///
    /// They are read in the chunks that `prefill` says, short ones together, and logits are computed for the answers only.
    /// `progress` hears of every chunk and may break it off: haystacks that were not read to their end do not count.
    ///
    /// # Errors
    /// A haystack that cannot be made; logits that are not numbers; a device that cannot hold it, or fails.
    pub fn run(
        &self,
        llama: &Llama,
        filler: &FillerTokens,
        prefill: PrefillOptions,
        progress: &mut dyn FnMut(NeedleProgress) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<NeedleScore>>, EvalError> {
        self.check(filler)?;
        let mut cells = vec![vec![NeedleScore::default(); self.lengths.len()]; self.tasks.len()];
        let mut all = NeedleScore::default();
        let mut tokens = 0;
        for (column, length) in self.lengths.iter().map(|length| length.get()).enumerate() {
            let together = (prefill.prefill_chunk.get() / length).max(1);
            for (row, task) in self.tasks.iter().enumerate() {
                for first in (0..self.trials.get()).step_by(together) {
                    let last = self.trials.get().min(first.saturating_add(together));
                    let haystacks = (first..last)
                        .map(|trial| Haystack::new(*task, length, filler, self.seed, trial as u64))
                        .collect::<Result<Vec<_>, _>>()?;
                    let guesses = guesses(llama, &haystacks, prefill, &mut |more| {
                        tokens += more;
                        progress(NeedleProgress { tokens, total: self.tokens(), found: all.found() })
                    })?;
                    let Some(guesses) = guesses else {
                        return Ok(cells);
                    };
                    for (haystack, guesses) in haystacks.iter().zip(&guesses) {
                        cells[row][column].add(haystack, guesses);
                        all.add(haystack, guesses);
                    }
                }
            }
        }
        Ok(cells)
    }
}

/// The guesses about the answers in haystacks of one shape; `None` if it was broken off. `each` hears how many more
/// tokens were read.
fn guesses(
    llama: &Llama,
    haystacks: &[Haystack],
    prefill: PrefillOptions,
    each: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Vec<Vec<Guess>>>, EvalError> {
    let answers = &haystacks[0].answers;
    let rows: Vec<&[u32]> = haystacks.iter().map(Haystack::read).collect();
    let mut guesses = vec![Vec::new(); rows.len()];
    let mut done = 0;
    // The token that is read last before an answer is the first whose logits matter.
    let from = answers[0].start - 1;
    let flow = read_texts(llama, &rows, from, prefill, &mut |read| {
        let end = read.positions.end;
        let next = read.positions.start + 1..end + 1;
        let expected = haystacks.iter().flat_map(|h| &h.ids[next.clone()]);
        let expected: Vec<u32> = expected.copied().collect();
        let all = guess_each(llama, read, &expected)?;
        for (row, all) in guesses.iter_mut().zip(all.chunks(next.len().max(1))) {
            // Between two answers of a chain stands what is asked.
            let asked = |place: usize| answers.iter().any(|a| a.contains(&place));
            let of_row = next.clone().zip(all).filter(|(place, _)| asked(*place));
            row.extend(of_row.map(|(_, guess)| *guess));
        }
        let more = (end - done) * rows.len();
        done = end;
        Ok(each(more))
    })?;
    Ok(flow.is_continue().then_some(guesses))
}

/// The guess behind each token that was read, where these ids would be right.
fn guess_each(llama: &Llama, read: Rows<'_>, expected: &[u32]) -> Result<Vec<Guess>, EvalError> {
    let mut guesses: Vec<Result<Guess, SamplingError>> = Vec::with_capacity(expected.len());
    read.read(&mut |logits| {
        let block = logits.par_chunks(llama.config.vocab_size);
        let block = block.zip(&expected[guesses.len()..]);
        let block: Vec<_> = block.map(|(row, &id)| Guess::new(row, id)).collect();
        guesses.extend(block);
    })?;
    Ok(guesses.into_iter().collect::<Result<_, _>>()?)
}

impl Guess {
    /// From a row of logits `[vocab_size]`, where `expected` would be right.
    fn new(logits: &[f32], expected: u32) -> Result<Self, SamplingError> {
        Ok(Self { id: argmax(logits)?, nll: -log_softmax_at(logits, expected) })
    }
}
