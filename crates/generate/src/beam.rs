//! Beam search: the most probable continuations that a breadth of a few finds.
//!
//! Lowerre 1976, "The HARPY Speech Recognition System"; for sequences of tokens Sutskever et al. 2014, arXiv:1409.3215,
//! section 3.2. The rules are those of transformers (`generation/utils.py`, `_beam_search`), token for token.
//!
//! Reading order: [`Llama::beam_search`] (the passes) · [`Search`] (which sequences go on, and when it is over) ·
//! `candidates` (the best next tokens of all).

mod candidates;
mod early_stopping;
mod search;

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use thiserror::Error;

pub(super) use candidates::log_softmax;
pub use early_stopping::EarlyStopping;
use search::Search;

use crate::{
    Advance, Error, FinishReason, Hypothesis, Llama, Memory, Sampler, SamplingConfig,
    generate::RESERVED,
};

/// How to search. The defaults are those of transformers.
#[derive(Clone, Debug, PartialEq)]
pub struct BeamOptions {
    /// Sequences that are followed at a time.
    pub num_beams: NonZeroUsize,
    /// The exponent of the length that a sum of log-probabilities is divided by: see [`super::score`].
    pub length_penalty: f64,
    pub early_stopping: EarlyStopping,
    /// The best so many of the beams are returned; fewer where so short a text has no more.
    pub num_return_sequences: NonZeroUsize,
    /// Biases, penalties and n-grams, laid on log-probabilities as there. Nothing is drawn, so that it must be greedy.
    pub rules: SamplingConfig,
    pub max_new_tokens: usize,
    /// Ids that end a sequence.
    pub eos_ids: Vec<u32>,
    pub memory: Memory,
}

impl BeamOptions {
    /// `num_beams` beams, one of which is returned; the rest as transformers has it where nobody says otherwise.
    pub fn new(num_beams: NonZeroUsize, max_new_tokens: usize) -> Self {
        Self {
            num_beams,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::default(),
            num_return_sequences: NonZeroUsize::MIN,
            rules: SamplingConfig::default(),
            max_new_tokens,
            eos_ids: Vec::new(),
            memory: Memory::default(),
        }
    }

    /// # Errors
    /// The first option that makes no sense.
    pub fn validate(&self) -> Result<(), BeamError> {
        let (beams, wanted) = (self.num_beams, self.num_return_sequences);
        if wanted > beams {
            return Err(BeamError::TooManyWanted { wanted, beams });
        }
        if !self.length_penalty.is_finite() {
            return Err(BeamError::LengthPenalty {
                value: self.length_penalty,
            });
        }
        if !self.rules.is_greedy() {
            return Err(BeamError::Chance {
                temperature: self.rules.temperature,
            });
        }
        Ok(())
    }
}

/// Options of a search that make no sense: one line.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum BeamError {
    #[error(
        "num_return_sequences = {wanted}: there are only {beams} beams: give at most {beams}, or more num_beams"
    )]
    TooManyWanted {
        wanted: NonZeroUsize,
        beams: NonZeroUsize,
    },
    #[error(
        "length_penalty = {value}: must be a finite number (above 0 favours long sequences, below 0 short ones)"
    )]
    LengthPenalty { value: f64 },
    #[error("temperature = {temperature}: a search draws nothing: give 0, or leave it out")]
    Chance { temperature: f32 },
    #[error("{text:?} is no rule of early stopping: use true, false or never")]
    EarlyStopping { text: String },
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The best first.
    pub sequences: Vec<Hypothesis>,
    pub prompt_tokens: usize,
    /// Tokens that were chosen, on all beams together.
    pub searched_tokens: usize,
    /// From the first token of the prompt to its logits.
    pub prefill: Duration,
    /// From there to the end.
    pub decode: Duration,
    /// Bytes of keys and values at the end.
    pub cache_bytes: u64,
    /// Whether it was broken off.
    pub interrupted: bool,
}

impl Llama {
    /// Searches for the best continuations of `prompt` and tells `progress` as it goes; `progress` may break it off, and
    /// what is being followed then is returned as it is.
    ///
    /// The prompt is read once, and its keys and values are then repeated for every beam. When beams change places, only
    /// what differs between them is copied: the slots after those that all beams that move have in common with the
    /// beam whose place they take. Beams that stay where they are cost nothing.
    ///
    /// # Errors
    /// A prompt that is empty, too long or not of this vocabulary; options that make no sense; logits that are not
    /// numbers; a device that fails, or cannot hold so many beams.
    pub fn beam_search(
        &self,
        prompt: &[u32],
        options: &BeamOptions,
        progress: &mut dyn FnMut(Advance) -> ControlFlow<()>,
    ) -> Result<Found, Error> {
        options.validate()?;
        options.rules.check_vocabulary(self.config.vocab_size)?;
        let rules = Sampler::new(options.rules.clone())?.after_prompt(prompt.len());
        self.room(prompt.len())?;
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        let limit = options.max_new_tokens;
        let positions = prompt.len().saturating_add(limit);
        let plan = options.memory.plan;
        self.planned_cache(plan, options.num_beams.get())?
            .check(positions)?;
        let mut cache = self.planned_cache(plan, 1)?;
        cache.reserve(prompt.len() + limit.min(RESERVED));

        let start = Instant::now();
        let mut search = Search::new(options, rules, prompt);
        let mut next = self.prefill_rows(&[prompt], options.memory, &mut cache, progress)?;
        let prefill = start.elapsed();

        let start = Instant::now();
        let mut interrupted = next.is_none();
        if limit == 0 {
            search.end(FinishReason::Length);
        }
        while let Some(logits) = next.take()
            && !search.is_over()
        {
            let step = search.step(&logits)?;
            interrupted = progress(Advance::Tokens(search.searched())).is_break();
            if !interrupted && !search.is_over() {
                cache.select_after(prompt.len() + step.alike, &step.parents)?;
                next = Some(self.logits_of_rows(&search.newest(), &mut cache)?);
            }
        }
        if interrupted {
            search.end(FinishReason::Interrupted);
        }
        let searched_tokens = search.searched();
        let mut sequences = search.into_best();
        for sequence in &mut sequences {
            sequence.text = self.text_after(prompt, &sequence.ids)?;
        }
        Ok(Found {
            sequences,
            prompt_tokens: prompt.len(),
            searched_tokens,
            prefill,
            decode: start.elapsed(),
            cache_bytes: cache.bytes(),
            interrupted,
        })
    }
}
