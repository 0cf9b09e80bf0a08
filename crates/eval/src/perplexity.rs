//! How many equally likely tokens a model in effect chooses from, and measures that compare across tokenizers.

use std::{f64::consts::LN_2, time::Duration};

use glass_text::Encoded;

/// How well a model predicts a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Perplexity {
    /// Tokens that were scored: all but the first, unless it was broken off.
    pub tokens: usize,
    /// UTF-8 bytes of the text that these tokens stand for.
    pub bytes: usize,
    /// Negative log-likelihood of all of them together, in nats.
    pub nll: f64,
    pub duration: Duration,
}

impl Perplexity {
    /// What [`token_nlls`](crate::token_nlls) gave for `text`, as far as it came, in this time.
    pub fn new(nlls: &[f64], text: &Encoded, duration: Duration) -> Self {
        Self { tokens: nlls.len(), bytes: text.bytes(1..nlls.len() + 1), nll: nlls.iter().sum(), duration }
    }

    /// Nats per token: the cross-entropy of model and text. NaN if no token was scored.
    pub fn mean_nll(&self) -> f64 {
        self.nll / self.tokens as f64
    }

    /// `exp(mean_nll)`; it depends on what the tokenizer calls a token.
    pub fn perplexity(&self) -> f64 {
        self.mean_nll().exp()
    }

    /// Nats per byte of text, whatever the tokenizer; `None` if the tokens stand for no bytes.
    pub fn nll_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nll / self.bytes as f64)
    }

    /// The same in bits: what an ideal coder that uses this model's probabilities would spend.
    pub fn bits_per_byte(&self) -> Option<f64> {
        self.nll_per_byte().map(|nats| nats / LN_2)
    }

    /// Speed, tokenizing not counted.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.duration.as_secs_f64().max(1e-9)
    }
}
