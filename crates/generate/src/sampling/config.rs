//! How the next token is chosen, in numbers.

use super::{SamplingError, SequenceBias};

/// How the next token is chosen. The default is greedy, with every rule off.
#[derive(Debug, Clone, PartialEq)]
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
    /// Only the fewest most typical tokens that together have at least this probability; 1 = off.
    pub typical_p: f32,
    /// Taken off the logit of every token that has been generated; 0 = off. Also when greedy.
    pub presence_penalty: f32,
    /// Taken off for each time that the token has been generated; 0 = off. Also when greedy.
    pub frequency_penalty: f32,
    /// No sequence of so many ids occurs twice, the prompt's included; 0 = off. Also when greedy.
    pub no_repeat_ngram_size: usize,
    /// What is added to the logits of single tokens, or of the last ones of sequences. Also when greedy.
    pub sequence_bias: Vec<SequenceBias>,
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
            typical_p: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            no_repeat_ngram_size: 0,
            sequence_bias: Vec::new(),
            seed: 0,
        }
    }
}

impl SamplingConfig {
    /// # Errors
    /// The first option that is out of its range, with its value and the rule.
    pub fn validate(&self) -> Result<(), SamplingError> {
        let require = |holds: bool, option, value, rule| {
            let error = SamplingError::Option { option, value, rule };
            if holds { Ok(()) } else { Err(error) }
        };
        let (t, p, m, r) = (self.temperature, self.top_p, self.min_p, self.repetition_penalty);
        let rule = "must be a finite number of at least 0 (0 = greedy)";
        require(t.is_finite() && t >= 0.0, "temperature", t, rule)?;
        let rule = "must be above 0 and at most 1 (1 = off)";
        require(p > 0.0 && p <= 1.0, "top_p", p, rule)?;
        let rule = "must be between 0 and 1 (0 = off)";
        require((0.0..=1.0).contains(&m), "min_p", m, rule)?;
        let rule = "must be a finite number above 0 (1 = off)";
        require(r.is_finite() && r > 0.0, "repetition_penalty", r, rule)?;
        let p = self.typical_p;
        let rule = "must be above 0 and at most 1 (1 = off)";
        require(p > 0.0 && p <= 1.0, "typical_p", p, rule)?;
        let rule = "must be a finite number (0 = off)";
        let (p, f) = (self.presence_penalty, self.frequency_penalty);
        require(p.is_finite(), "presence_penalty", p, rule)?;
        require(f.is_finite(), "frequency_penalty", f, rule)?;
        for SequenceBias { ids, bias } in &self.sequence_bias {
            let rule = "must be a finite number, or -inf to forbid";
            let holds = bias.is_finite() || *bias == f32::NEG_INFINITY;
            require(holds, "sequence_bias", *bias, rule)?;
            if ids.is_empty() {
                return Err(SamplingError::EmptyBias);
            }
        }
        Ok(())
    }

    /// Whether all tokens that are named are tokens of a vocabulary of this size.
    ///
    /// # Errors
    /// [`SamplingError::BiasOutOfRange`].
    pub fn check_vocabulary(&self, vocab_size: usize) -> Result<(), SamplingError> {
        let mut ids = self.sequence_bias.iter().flat_map(|bias| &bias.ids);
        match ids.find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(SamplingError::BiasOutOfRange { id, vocab_size }),
            None => Ok(()),
        }
    }

    /// Whether a rule looks at the text so far, or at a list of biases.
    pub fn looks_back(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
            || self.no_repeat_ngram_size > 0
            || !self.sequence_bias.is_empty()
    }

    /// No chance involved: the seed and the rules from the temperature on do not matter.
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }
}
