//! From a row of logits to the next token.
//!
//! Each rule is one function on a row: the model's logits over the vocabulary, shape `[vocab_size]`, in float32. A
//! token that a rule removes gets the logit −∞. [`Sampler`] applies them in the order of transformers
//! (`generation/utils.py`, `_get_logits_processor`): repetition penalty, temperature, top-k, top-p, min-p.

mod warpers;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use thiserror::Error;

pub use warpers::{log_softmax_at, min_p, repetition_penalty, temperature, top_k, top_p};

/// Why no token can be drawn. Each message is one line.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SamplingError {
    #[error("{option} = {value}: {rule}")]
    Option {
        option: &'static str,
        value: f32,
        rule: &'static str,
    },
    #[error("the logits row is empty: a model needs at least one token in its vocabulary")]
    NoLogits,
    #[error(
        "the logit of token {id} is {value}: the weights are damaged, or numbers left the range of a dtype smaller than f32"
    )]
    NotFinite { id: usize, value: f32 },
    #[error(
        "every logit is -inf: no token is possible (damaged weights, or the dtype's range, if it is not float32)"
    )]
    NothingPossible,
}

/// How the next token is chosen. The default is greedy, with every rule off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingConfig {
    /// The logits are divided by this; 0 = greedy (the most probable token, no chance involved).
    pub temperature: f32,
    /// Only the k most probable tokens; 0 = off.
    pub top_k: usize,
    /// Only the fewest most probable tokens that together have at least this probability; 1 = off.
    pub top_p: f32,
    /// Only tokens at least this fraction as probable as the most probable one; 0 = off.
    pub min_p: f32,
    /// Tokens that have occurred become less probable above 1, more probable below; 1 = off. Also when greedy.
    pub repetition_penalty: f32,
    /// The same seed gives the same draws, on every platform.
    pub seed: u64,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
        }
    }
}

impl SamplingConfig {
    /// # Errors
    /// The first option that is out of its range, with its value and the rule.
    pub fn validate(&self) -> Result<(), SamplingError> {
        let require = |holds: bool, option, value, rule| {
            let error = SamplingError::Option {
                option,
                value,
                rule,
            };
            if holds { Ok(()) } else { Err(error) }
        };
        let (t, p, m, r) = (
            self.temperature,
            self.top_p,
            self.min_p,
            self.repetition_penalty,
        );
        let rule = "must be a finite number of at least 0 (0 = greedy)";
        require(t.is_finite() && t >= 0.0, "temperature", t, rule)?;
        let rule = "must be above 0 and at most 1 (1 = off)";
        require(p > 0.0 && p <= 1.0, "top_p", p, rule)?;
        let rule = "must be between 0 and 1 (0 = off)";
        require((0.0..=1.0).contains(&m), "min_p", m, rule)?;
        let rule = "must be a finite number above 0 (1 = off)";
        require(r.is_finite() && r > 0.0, "repetition_penalty", r, rule)
    }

    /// No chance involved: the seed and the rules after the repetition penalty do not matter.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }
}

/// Chooses tokens as a [`SamplingConfig`] says. Its buffers are reused, so a call allocates nothing once they have
/// grown to the vocabulary's size.
#[derive(Debug, Clone)]
pub struct Sampler {
    config: SamplingConfig,
    /// ChaCha with 12 rounds: a counter-based stream defined bit for bit, the same on every platform.
    rng: ChaCha12Rng,
    seen: Vec<bool>,
    order: Vec<(f32, u32)>,
    cumulative: Vec<f64>,
}

impl Sampler {
    /// # Errors
    /// As [`SamplingConfig::validate`].
    pub fn new(config: SamplingConfig) -> Result<Self, SamplingError> {
        config.validate()?;
        Ok(Self {
            config,
            rng: ChaCha12Rng::seed_from_u64(config.seed),
            seen: Vec::new(),
            order: Vec::new(),
            cumulative: Vec::new(),
        })
    }

    /// What it was made with.
    pub fn config(&self) -> &SamplingConfig {
        &self.config
    }

    /// The next token. `logits`: the model's row, changed in place. `previous`: prompt and generated ids so far, for
    /// the repetition penalty.
    ///
    /// # Errors
    /// When the logits contain NaN or +∞, or only −∞.
    pub fn sample(&mut self, logits: &mut [f32], previous: &[u32]) -> Result<u32, SamplingError> {
        let config = self.config;
        if config.repetition_penalty != 1.0 {
            repetition_penalty(logits, previous, config.repetition_penalty, &mut self.seen);
        }
        let best = argmax(logits)?;
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
        Ok(self.draw(logits, best))
    }

    /// Draws from the softmax of the row: a uniform number falls into one token's stretch of the cumulative sum.
    fn draw(&mut self, logits: &[f32], best: u32) -> u32 {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        self.cumulative.clear();
        self.cumulative.extend(logits.iter().map(|&logit| {
            total += f64::from(logit - highest).exp();
            total
        }));
        // The upper 53 bits: every float64 of the form n / 2^53 in [0, 1).
        let uniform = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let target = uniform * total;
        let chosen = self.cumulative.partition_point(|&sum| sum <= target);
        // Rounding can lift the target to the total, past every token.
        if chosen < logits.len() {
            chosen as u32
        } else {
            best
        }
    }
}

/// The id of the highest logit; of equal ones the lowest id, as torch's argmax.
pub(crate) fn argmax(logits: &[f32]) -> Result<u32, SamplingError> {
    let Some(&first) = logits.first() else {
        return Err(SamplingError::NoLogits);
    };
    let (mut best, mut highest) = (0, first);
    for (id, &value) in logits.iter().enumerate() {
        if value.is_nan() || value == f32::INFINITY {
            return Err(SamplingError::NotFinite { id, value });
        }
        if value > highest {
            (best, highest) = (id, value);
        }
    }
    if highest == f32::NEG_INFINITY {
        return Err(SamplingError::NothingPossible);
    }
    Ok(best as u32)
}
