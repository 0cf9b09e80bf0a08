//! From a row of logits to the next token.
//!
//! Each rule is one function on a row: the model's logits over the vocabulary, shape `[vocab_size]`, in float32. A
//! token that a rule removes gets the logit −∞. [`Sampler`] applies them in the order of transformers
//! (`generation/utils.py`, `_get_logits_processor`): sequence bias, repetition penalty, no-repeat-ngram, and where chance
//! decides temperature, top-k, top-p, min-p, typical-p. Presence and frequency penalty, which transformers does not have,
//! stand behind the repetition penalty, as in vLLM and llama.cpp.

mod config;
mod penalties;
mod warpers;

use glass_backend::{Draw, first_highest};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use thiserror::Error;

use crate::Choice;

pub use config::SamplingConfig;
pub use penalties::{SequenceBias, no_repeat_ngram, presence_and_frequency_penalty, repetition_penalty, sequence_bias};
pub(crate) use warpers::higher_first;
pub use warpers::{log_softmax_at, log_sum_exp, min_p, temperature, top_k, top_p, typical_p};

/// Why no token can be drawn. Each message is one line.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SamplingError {
    #[error("{option} = {value}: {rule}")]
    Option { option: &'static str, value: f32, rule: &'static str },
    #[error("the logits row is empty: a model needs at least one token in its vocabulary")]
    NoLogits,
    #[error(
        "the logit of token {id} is {value}: the weights are damaged, or numbers left the range of a dtype smaller than f32"
    )]
    NotFinite { id: usize, value: f32 },
    #[error("every logit is -inf: no token is possible (damaged weights, or the dtype's range, if it is not float32)")]
    NothingPossible,
    #[error("a bias for no token: it needs an id at least")]
    EmptyBias,
    #[error("two biases for token {id}: give one")]
    BiasTwice { id: u32 },
    #[error("a bias for token {id}: the vocabulary has {vocab_size} tokens")]
    BiasOutOfRange { id: u32, vocab_size: usize },
    #[error("no token is left: every one is forbidden by a bias of -inf or by no_repeat_ngram_size")]
    NothingLeft,
    #[error("biases and penalties made the logit of token {id} {value}: use smaller ones")]
    Overflow { id: usize, value: f32 },
}

/// Chooses tokens as a [`SamplingConfig`] says. Its buffers are reused, so a call allocates nothing once they have
/// grown to the vocabulary's size.
#[derive(Debug, Clone)]
pub struct Sampler {
    config: SamplingConfig,
    /// ChaCha with 12 rounds: a counter-based stream defined bit for bit, the same on every platform.
    rng: ChaCha12Rng,
    /// How many of the previous ids are the prompt's.
    prompt: usize,
    seen: Vec<bool>,
    counts: Vec<u32>,
    order: Vec<(f32, u32)>,
    cumulative: Vec<f64>,
}

impl Sampler {
    /// # Errors
    /// As [`SamplingConfig::validate`].
    pub fn new(config: SamplingConfig) -> Result<Self, SamplingError> {
        config.validate()?;
        Ok(Self {
            rng: ChaCha12Rng::seed_from_u64(config.seed),
            config,
            prompt: 0,
            seen: Vec::new(),
            counts: Vec::new(),
            order: Vec::new(),
            cumulative: Vec::new(),
        })
    }

    /// Says that the first `prompt` of the previous ids were given: presence and frequency penalties count those that were
    /// generated, as the OpenAI API and vLLM do.
    pub fn after_prompt(mut self, prompt: usize) -> Self {
        self.prompt = prompt;
        self
    }

    /// What it was made with.
    pub fn config(&self) -> &SamplingConfig {
        &self.config
    }

    /// The next token. `logits`: the model's row, changed in place. `previous`: prompt and generated ids so far, for
    /// the rules that look at the text.
    ///
    /// # Errors
    /// When the logits contain NaN or +∞, or only −∞, from the start or by the rules.
    pub fn sample(&mut self, logits: &mut [f32], previous: &[u32]) -> Result<u32, SamplingError> {
        let best = self.reshape(logits, previous)?;
        match self.config.is_greedy() {
            true => Ok(best),
            false => Ok(self.draw(logits)),
        }
    }

    /// What a device may choose the next `tokens` by, from the model's rows alone.
    pub(crate) fn choice(&self, tokens: usize) -> Choice {
        let SamplingConfig { temperature, top_k, top_p, min_p, typical_p, .. } = self.config;
        if self.config.looks_back() {
            return Choice::Host;
        }
        if self.config.is_greedy() {
            return Choice::Best;
        }
        // What is divided by less may be beyond all numbers, which shaders do not promise to compute with.
        if typical_p < 1.0 || temperature < 1e-3 {
            return Choice::Host;
        }
        let mut rng = self.rng.clone();
        let draws = (0..tokens).map(|_| Draw { temperature, top_k, top_p, min_p, uniform: uniform(&mut rng) });
        Choice::Draws(draws.collect())
    }

    /// Notes that a device has chosen the next token.
    pub(crate) fn skip(&mut self) {
        if !self.config.is_greedy() {
            self.rng.next_u64();
        }
    }

    /// Applies all rules to the row and returns the most probable token before the temperature. A greedy row is left at
    /// that: the rules behind it would not change which token is the best.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn reshape(&mut self, logits: &mut [f32], previous: &[u32]) -> Result<u32, SamplingError> {
        let mut best = argmax(logits)?;
        if self.config.looks_back() {
            self.look_back(logits, previous);
            best = argmax(logits).map_err(|error| match error {
                SamplingError::NotFinite { id, value } => SamplingError::Overflow { id, value },
                _ => SamplingError::NothingLeft,
            })?;
        }
        let config = &self.config;
        if config.is_greedy() {
            return Ok(best);
        }
        temperature(logits, config.temperature);
        if config.top_k > 0 {
            top_k(logits, config.top_k, &mut self.order);
        }
        if config.top_p < 1.0 {
            top_p(logits, config.top_p, &mut self.order);
        }
        if config.min_p > 0.0 {
            min_p(logits, config.min_p);
        }
        if config.typical_p < 1.0 {
            typical_p(logits, config.typical_p, &mut self.order);
        }
        Ok(best)
    }

    /// The rules that look at the text so far; they hold without chance too.
    pub(super) fn look_back(&mut self, logits: &mut [f32], previous: &[u32]) {
        let config = &self.config;
        sequence_bias(logits, previous, &config.sequence_bias);
        if config.repetition_penalty != 1.0 {
            repetition_penalty(logits, previous, config.repetition_penalty, &mut self.seen);
        }
        let (presence, frequency) = (config.presence_penalty, config.frequency_penalty);
        if presence != 0.0 || frequency != 0.0 {
            let generated = previous.get(self.prompt..).unwrap_or_default();
            let counts = &mut self.counts;
            presence_and_frequency_penalty(logits, generated, presence, frequency, counts);
        }
        no_repeat_ngram(logits, previous, config.no_repeat_ngram_size);
    }

    /// Draws from the softmax of the row: a uniform number falls into one token's stretch of the cumulative sum.
    fn draw(&mut self, logits: &[f32]) -> u32 {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        self.cumulative.clear();
        self.cumulative.extend(logits.iter().map(|&logit| {
            total += f64::from(logit - highest).exp();
            total
        }));
        let target = uniform(&mut self.rng) * total;
        let chosen = self.cumulative.partition_point(|&sum| sum <= target);
        // Rounding can lift the target to the total, past every token: then it is the last possible one.
        match chosen < logits.len() {
            true => chosen as u32,
            false => self.cumulative.partition_point(|&sum| sum < total) as u32,
        }
    }
}

/// The upper 53 bits: every float64 of the form n / 2^53 in [0, 1).
fn uniform(rng: &mut ChaCha12Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The id of the highest logit; of equal ones the lowest id, as torch's argmax.
/// # Errors
/// A row without logits, of −∞ only, or with one that is NaN or +∞.
pub fn argmax(logits: &[f32]) -> Result<u32, SamplingError> {
    if logits.is_empty() {
        return Err(SamplingError::NoLogits);
    }
    let (id, best, is_finite) = first_highest(logits);
    if !is_finite {
        let mut ids = logits.iter().enumerate();
        if let Some((id, &value)) = ids.find(|(_, value)| value.is_nan() || **value == f32::INFINITY) {
            return Err(SamplingError::NotFinite { id, value });
        }
    }
    if best == f32::NEG_INFINITY {
        return Err(SamplingError::NothingPossible);
    }
    Ok(id as u32)
}
