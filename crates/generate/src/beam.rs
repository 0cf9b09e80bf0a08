//! Beam search: the most probable continuations that a breadth of a few finds.
//!
//! Lowerre 1976, "The HARPY Speech Recognition System"; for sequences of tokens Sutskever et al. 2014, arXiv:1409.3215,
//! section 3.2. The rules are those of transformers (`generation/utils.py`, `_beam_search`), token for token.
//!
//! Reading order: [`beam_search`] (the passes) · [`Search`] (which sequences go on, and when it is over) · `candidates` (the
//! best next tokens of all).

mod candidates;
mod early_stopping;
mod search;

use std::{num::NonZeroUsize, ops::ControlFlow};

use thiserror::Error;
use web_time::Instant;

pub(super) use candidates::log_softmax;
pub use early_stopping::EarlyStopping;
use search::Search;

use crate::{
    BeamOutput, Error, FinishReason, Lane, Llama, PrefillOptions, Progress, Sampler, SamplingConfig, SamplingError,
    hypothesis::{detokenize, is_in_range},
    run::RESERVED,
    step,
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
    pub prefill: PrefillOptions,
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
            prefill: PrefillOptions::default(),
        }
    }

    /// # Errors
    /// The first option that makes no sense.
    pub fn validate(&self) -> Result<(), BeamError> {
        let (beams, wanted) = (self.num_beams, self.num_return_sequences);
        if wanted > beams {
            return Err(BeamError::TooManyWanted { wanted, beams });
        }
        if !is_in_range(self.length_penalty, self.max_new_tokens) {
            return Err(BeamError::LengthPenalty { value: self.length_penalty });
        }
        if !self.rules.is_greedy() {
            return Err(BeamError::Chance { temperature: self.rules.temperature });
        }
        Ok(())
    }
}

/// Options of a search that make no sense: one line.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum BeamError {
    #[error("num_return_sequences = {wanted}: there are only {beams} beams: give at most {beams}, or more num_beams")]
    TooManyWanted { wanted: NonZeroUsize, beams: NonZeroUsize },
    #[error(
        "length_penalty = {value:?}: must be a finite number at which scores stay in the range of numbers: give one nearer to 0 \
         (above 0 favours long sequences, below 0 short ones)"
    )]
    LengthPenalty { value: f64 },
    #[error("temperature = {temperature}: a search draws nothing: give 0, or leave it out")]
    Chance { temperature: f32 },
    #[error("{text:?} is no rule of early stopping: use true, false or never")]
    EarlyStopping { text: String },
}

/// Searches for the best continuations of `prompt` and tells `progress` as it goes; `progress` may break it off, and what is
/// being followed then is returned as it is.
///
/// The prompt is read once. A beam that goes on in several ways is forked: the ways share what is behind them.
///
/// # Errors
/// A prompt that is empty, too long or not of this vocabulary; options that make no sense; logits that are not numbers; a
/// device that fails, or cannot hold so many beams.
pub fn beam_search(
    llama: &Llama,
    prompt: &[u32],
    options: &BeamOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<BeamOutput, Error> {
    options.validate()?;
    options.rules.check_vocabulary(llama.config.vocab_size)?;
    let rules = Sampler::new(options.rules.clone())?.after_prompt(prompt.len());
    llama.room(prompt.len())?;
    if prompt.is_empty() {
        return Err(Error::EmptyPrompt);
    }
    let (limit, total) = (options.max_new_tokens, prompt.len());
    let mut beam = Lane::new(llama, options.prefill)?;
    beam.reserve(total.saturating_add(limit), total + limit.min(RESERVED))?;
    beam.push(prompt, 1);

    let start = Instant::now();
    let mut search = Search::new(options, rules, prompt);
    let mut beams = vec![beam];
    let mut flow = ControlFlow::Continue(());
    while flow.is_continue() && beams.iter().any(|beam| beam.unread() > 0) {
        let logits = step(llama, &mut beams)?.read()?;
        let done = beams.iter().map(Lane::len).max().unwrap_or(0);
        if done <= total {
            flow = progress(Progress::Prompt { done, total });
        }
        if flow.is_break() || done < total || limit == 0 {
            continue;
        }
        let parents = match search.step(logits.values()) {
            Err(SamplingError::NothingLeft) if search.searched() > 0 => {
                search.end(FinishReason::NoToken);
                break;
            }
            parents => parents?,
        };
        flow = progress(Progress::Searched(search.searched()));
        if !search.is_over() {
            beams = follow(beams, &parents);
            for (beam, ids) in beams.iter_mut().zip(search.texts()) {
                beam.push_newest(&ids, llama)?;
            }
        }
    }
    if limit == 0 {
        search.end(FinishReason::Length);
    }
    if flow.is_break() {
        search.end(FinishReason::Interrupted);
    }
    let searched_tokens = search.searched();
    let mut sequences = search.into_best();
    detokenize(llama, prompt, &mut sequences)?;
    Ok(BeamOutput {
        sequences,
        prompt_tokens: total,
        searched_tokens,
        duration: start.elapsed(),
        interrupted: flow.is_break(),
    })
}

/// The beams that go on from these parents, in their order.
fn follow(beams: Vec<Lane>, parents: &[usize]) -> Vec<Lane> {
    let mut beams: Vec<Option<Lane>> = beams.into_iter().map(Some).collect();
    let next = parents.iter().enumerate().filter_map(|(number, &parent)| {
        if parents[number + 1..].contains(&parent) {
            beams[parent].as_mut().map(Lane::fork)
        } else {
            beams[parent].take()
        }
    });
    next.collect()
}
