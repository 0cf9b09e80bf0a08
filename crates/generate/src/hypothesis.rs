//! What searches find, and what it is worth.

use std::time::Duration;

use glass_text::StreamingDetokenizer;

use crate::{Error, FinishReason, Llama};

/// One continuation of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The new ids, an end-of-sequence id included.
    pub ids: Vec<u32>,
    /// Their text; `None` if there is no tokenizer.
    pub text: Option<String>,
    /// Sum of the natural log-probabilities of `ids`, penalties included.
    pub log_prob: f64,
    /// What sequences are ordered by: see [`score`].
    pub score: f64,
    pub finish_reason: FinishReason,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct BeamOutput {
    /// The best first.
    pub sequences: Vec<Hypothesis>,
    pub prompt_tokens: usize,
    /// Tokens that were chosen, on all beams together.
    pub searched_tokens: usize,
    /// From the first token of the prompt to the end.
    pub duration: Duration,
    /// Whether it was broken off.
    pub interrupted: bool,
}

/// `log_prob / length^length_penalty`, `length` being that of the new ids: the `sequences_scores` of transformers.
///
/// A log-probability is negative, so that the division favours long sequences with a penalty above 0 and short ones with
/// one below. Wu et al. 2016, arXiv:1609.08144, section 7, normalise by `((5 + length) / 6)^penalty`; this is the simpler
/// form that transformers took over from fairseq.
pub fn score(log_prob: f64, length: usize, length_penalty: f64) -> f64 {
    match length {
        0 => log_prob,
        _ => log_prob / (length as f64).powf(length_penalty),
    }
}

/// Whether a penalty leaves the scores of up to so many tokens where numbers are: beyond it they are infinite or all 0.
pub(crate) fn is_in_range(length_penalty: f64, longest: usize) -> bool {
    // The logarithms that are divided have room too.
    length_penalty.is_finite() && (length_penalty * (longest.max(1) as f64).log10()).abs() <= 200.0
}

/// Gives the sequences that follow `prompt` their texts, if there is a tokenizer.
pub(crate) fn detokenize(llama: &Llama, prompt: &[u32], sequences: &mut [Hypothesis]) -> Result<(), Error> {
    let Some(tokenizer) = &llama.tokenizer else {
        return Ok(());
    };
    for sequence in sequences {
        let mut detokenizer = StreamingDetokenizer::new(tokenizer, prompt, true)?;
        let mut text = String::new();
        for &id in &sequence.ids {
            text.push_str(&detokenizer.push(id)?);
        }
        text.push_str(&detokenizer.finish()?);
        sequence.text = Some(text);
    }
    Ok(())
}
