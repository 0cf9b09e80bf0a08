//! Every continuation there is: what greedy decoding and beam search are measured by, where there are few enough.

use std::{num::NonZeroUsize, ops::ControlFlow};

use thiserror::Error;
use web_time::Instant;

use crate::{
    BeamOutput, Error, FinishReason, Hypothesis, Llama, Progress,
    beam::log_softmax,
    hypothesis::{detokenize, is_in_range},
    read_whole,
    sampling::argmax,
    score,
};

/// The most sequences that are looked through: with a vocabulary of 100 those of three tokens.
pub const MOST_SEQUENCES: u64 = 1 << 20;

/// Tokens of a pass, prompts included: bounds its activations.
const PASS_TOKENS: usize = 4096;

/// What to look for.
#[derive(Clone, Debug, PartialEq)]
pub struct ExhaustiveOptions {
    /// As [`super::BeamOptions::length_penalty`].
    pub length_penalty: f64,
    /// The best so many are returned, or all there are.
    pub num_return_sequences: NonZeroUsize,
    pub max_new_tokens: usize,
    /// Ids that end a sequence.
    pub eos_ids: Vec<u32>,
}

impl ExhaustiveOptions {
    /// # Errors
    /// More than [`MOST_SEQUENCES`] sequences, or a penalty that is no number.
    pub fn validate(&self, vocab_size: usize) -> Result<(), ExhaustiveError> {
        let (length, most) = (self.max_new_tokens, most_tokens(vocab_size));
        if length > most {
            return Err(ExhaustiveError::TooMany { vocab_size, length, most });
        }
        match self.length_penalty {
            value if is_in_range(value, length) => Ok(()),
            value => Err(ExhaustiveError::LengthPenalty { value }),
        }
    }
}

/// A search that would not end: one line.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ExhaustiveError {
    #[error(
        "{vocab_size} tokens make more than {MOST_SEQUENCES} sequences of {length}: an exhaustive search takes at most \
         {most} new tokens of such a vocabulary (--max-new-tokens), or use beam search (--num-beams)"
    )]
    TooMany { vocab_size: usize, length: usize, most: usize },
    #[error(
        "length_penalty = {value:?}: must be a finite number at which scores stay in the range of numbers: give one nearer to 0"
    )]
    LengthPenalty { value: f64 },
}

/// A sequence that has not ended.
struct Open {
    ids: Vec<u32>,
    log_prob: f64,
}

/// The best of all sequences that continue `prompt`: those that an end-of-sequence id ends, and those of `max_new_tokens`.
/// Every one is scored, from passes over the whole of it: no cache, and no beam, is involved that could be wrong or lose it.
///
/// # Errors
/// More than [`MOST_SEQUENCES`] sequences; otherwise as [`beam_search`](crate::beam_search).
pub fn exhaustive_search(
    llama: &Llama,
    prompt: &[u32],
    options: &ExhaustiveOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<BeamOutput, Error> {
    let (vocab_size, length) = (llama.config.vocab_size, options.max_new_tokens);
    options.validate(vocab_size)?;
    llama.room(prompt.len())?;
    if prompt.is_empty() {
        return Err(Error::EmptyPrompt);
    }
    let start = Instant::now();
    let root = || Open { ids: vec![], log_prob: 0.0 };
    let mut best = Best::new(options);
    let (mut open, mut searched_tokens, mut interrupted) = (vec![root()], 0, false);
    if length == 0 {
        best.offer(root(), FinishReason::Length);
    }
    for depth in 0..length {
        let mut longer = Vec::new();
        for some in open.chunks((PASS_TOKENS / (prompt.len() + depth)).max(1)) {
            let logits = logits_behind(llama, prompt, some)?;
            for (sequence, logits) in some.iter().zip(logits.chunks(vocab_size)) {
                argmax(logits)?;
                for (id, log_prob) in (0..).zip(log_softmax(logits)) {
                    let next = Open {
                        ids: [&sequence.ids[..], &[id]].concat(),
                        log_prob: sequence.log_prob + f64::from(log_prob),
                    };
                    if options.eos_ids.contains(&id) {
                        best.offer(next, FinishReason::Eos);
                    } else if depth + 1 == length {
                        best.offer(next, FinishReason::Length);
                    } else {
                        longer.push(next);
                    }
                }
            }
            searched_tokens += some.len() * vocab_size;
            interrupted = progress(Progress::Searched(searched_tokens)).is_break();
            if interrupted {
                break;
            }
        }
        open = longer;
        if interrupted {
            break;
        }
    }
    let mut sequences = best.sequences;
    detokenize(llama, prompt, &mut sequences)?;
    Ok(BeamOutput { sequences, prompt_tokens: prompt.len(), searched_tokens, duration: start.elapsed(), interrupted })
}

/// The logits behind `prompt` and each of `sequences`, all of one length: `[sequences, vocab_size]`, row-major.
fn logits_behind(llama: &Llama, prompt: &[u32], sequences: &[Open]) -> Result<Vec<f32>, Error> {
    let texts: Vec<Vec<u32>> = sequences.iter().map(|sequence| [prompt, &sequence.ids].concat()).collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let last = texts[0].len() - 1;
    Ok(read_whole(llama, &texts, last)?.read()?.into_values())
}

/// The longest sequences of which there are no more than [`MOST_SEQUENCES`].
fn most_tokens(vocab_size: usize) -> usize {
    match vocab_size as u64 {
        0 | 1 => MOST_SEQUENCES as usize,
        base => MOST_SEQUENCES.ilog(base) as usize,
    }
}

/// The best sequences so far, the best first; of equals the one that came first.
struct Best<'a> {
    options: &'a ExhaustiveOptions,
    sequences: Vec<Hypothesis>,
}

impl<'a> Best<'a> {
    fn new(options: &'a ExhaustiveOptions) -> Self {
        Self { options, sequences: Vec::new() }
    }

    fn offer(&mut self, sequence: Open, finish_reason: FinishReason) {
        let Open { ids, log_prob } = sequence;
        let score = score(log_prob, ids.len(), self.options.length_penalty);
        let rank = self.sequences.partition_point(|other| other.score >= score);
        let wanted = self.options.num_return_sequences.get();
        // What is impossible is no sequence.
        if rank < wanted && log_prob > f64::NEG_INFINITY {
            self.sequences.truncate(wanted - 1);
            let found = Hypothesis { ids, text: None, log_prob, score, finish_reason };
            self.sequences.insert(rank.min(self.sequences.len()), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_sequences_may_be() {
        assert_eq!(most_tokens(2), 20);
        assert_eq!(most_tokens(99), 3);
        assert_eq!(most_tokens(102), 2);
        assert_eq!(most_tokens(1 << 20), 1);
        assert_eq!(most_tokens((1 << 20) + 1), 0);
    }

    #[test]
    fn the_best_are_kept_in_order() {
        let options = ExhaustiveOptions {
            length_penalty: 0.0,
            num_return_sequences: NonZeroUsize::new(3).unwrap(),
            max_new_tokens: 1,
            eos_ids: vec![],
        };
        let mut best = Best::new(&options);
        let scores = [-5.0, -1.0, f64::NEG_INFINITY, -3.0, -1.0, -9.0, -2.0];
        for (id, log_prob) in (0..).zip(scores) {
            let ids = vec![id];
            best.offer(Open { ids, log_prob }, FinishReason::Length);
        }
        let ids: Vec<u32> = best.sequences.iter().map(|found| found.ids[0]).collect();
        assert_eq!(ids, [1, 4, 6]);
    }
}
