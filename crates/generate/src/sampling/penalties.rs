//! The rules that look at the text so far, one function each. Ids beyond the row are ignored.

use std::collections::HashSet;

use super::SamplingError;

/// A sequence that becomes more probable, or less: the last of `ids`, wherever the ones before it end the text so far, gets
/// `bias` added to its logit. A sequence of one id is the *logit bias* of the OpenAI API; -inf forbids.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceBias {
    pub ids: Vec<u32>,
    pub bias: f32,
}

impl SequenceBias {
    /// Whether each sequence has one bias alone: which of two was meant, nobody can tell.
    ///
    /// # Errors
    /// [`SamplingError::BiasTwice`].
    pub fn check_distinct(biases: &[Self]) -> Result<(), SamplingError> {
        let mut seen = HashSet::new();
        let twice = biases.iter().find(|bias| !seen.insert(&bias.ids));
        match twice.and_then(|bias| bias.ids.last()) {
            Some(&id) => Err(SamplingError::BiasTwice { id }),
            None => Ok(()),
        }
    }
}

/// Adds each bias that applies after `previous` (transformers' `sequence_bias`).
pub fn sequence_bias(logits: &mut [f32], previous: &[u32], biases: &[SequenceBias]) {
    for SequenceBias { ids, bias } in biases {
        let Some((&last, before)) = ids.split_last() else {
            continue;
        };
        if let Some(logit) = logits.get_mut(last as usize)
            && previous.ends_with(before)
        {
            *logit += bias;
        }
    }
}

/// Makes the tokens of `previous` less probable: a positive logit is divided by `penalty`, a negative one multiplied,
/// once however often the token occurred (CTRL, Keskar et al. 2019, section 4.1, for logits of either sign as in
/// transformers). Ids beyond the row are ignored. `seen` is scratch.
pub fn repetition_penalty(logits: &mut [f32], previous: &[u32], penalty: f32, seen: &mut Vec<bool>) {
    seen.clear();
    seen.resize(logits.len(), false);
    for &id in previous {
        let id = id as usize;
        if let (Some(logit), Some(seen)) = (logits.get_mut(id), seen.get_mut(id))
            && !*seen
        {
            *seen = true;
            *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
        }
    }
}

/// Takes `presence` off the logit of every token of `generated`, and `frequency` as often as it occurred: the penalties of
/// the OpenAI API. Whether the prompt counts is the caller's to say; vLLM counts generated tokens alone, llama.cpp the last
/// ones of both. Both may be negative. `counts` is scratch.
pub fn presence_and_frequency_penalty(
    logits: &mut [f32],
    generated: &[u32],
    presence: f32,
    frequency: f32,
    counts: &mut Vec<u32>,
) {
    counts.clear();
    counts.resize(logits.len(), 0);
    for &id in generated {
        if let Some(count) = counts.get_mut(id as usize) {
            *count += 1;
        }
    }
    for (logit, &count) in logits.iter_mut().zip(&*counts) {
        if count > 0 {
            *logit -= presence + frequency * count as f32;
        }
    }
}

/// Removes every token that would complete a sequence of `n` ids that `previous` holds already (fairseq's and
/// transformers' `no_repeat_ngram_size`; Paulus et al. 2017, arXiv:1705.04304, section 2.5, for n = 3). `n` >= 1.
pub fn no_repeat_ngram(logits: &mut [f32], previous: &[u32], n: usize) {
    if n == 0 || previous.len() < n {
        return;
    }
    let begun = &previous[previous.len() + 1 - n..];
    for ngram in previous.windows(n) {
        if let Some((&last, before)) = ngram.split_last()
            && before == begun
            && let Some(logit) = logits.get_mut(last as usize)
        {
            *logit = f32::NEG_INFINITY;
        }
    }
}
