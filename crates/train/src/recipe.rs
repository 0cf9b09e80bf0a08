//! The hyperparameters of a run.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The hyperparameters of a run. Together with the text, the config and the tokenizer they decide every weight of the
/// result, as far as the device is deterministic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Optimizer steps.
    pub steps: usize,
    /// Sequences of one forward pass.
    pub batch: usize,
    /// Tokens of a sequence; each predicts the next one.
    pub context: usize,
    /// Batches whose gradients are averaged for one step: a larger batch in the memory of a small one.
    pub accumulate: usize,
    /// The maximum, reached at the end of the warm-up.
    pub learning_rate: f64,
    /// At the last step.
    pub min_learning_rate: f64,
    pub warmup_steps: usize,
    /// AdamW's decay: each step shrinks matrices by `learning_rate * weight_decay`, but neither norms nor biases.
    pub weight_decay: f64,
    /// AdamW's decay rate of the average gradient.
    pub beta1: f64,
    /// AdamW's decay rate of the average squared gradient.
    pub beta2: f64,
    /// Maximum norm of all gradients together; 0: no clipping.
    pub clip: f64,
    /// Dropout probability of the embeddings and of what is added to the residual stream. For attention probabilities
    /// the config has `attention_dropout`.
    pub dropout: f64,
    /// Steps between two evaluations on the held-out text.
    pub eval_every: usize,
    /// Steps between two checkpoints.
    pub save_every: usize,
    /// Fraction of the text's bytes that is held out, at its end.
    pub held_out: f64,
    pub seed: u64,
}

impl Default for Recipe {
    /// A few minutes on a CPU, for a small model.
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 16,
            context: 256,
            accumulate: 1,
            learning_rate: 1e-3,
            min_learning_rate: 1e-4,
            warmup_steps: 100,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            clip: 1.0,
            dropout: 0.0,
            eval_every: 250,
            save_every: 250,
            held_out: 0.1,
            seed: 0,
        }
    }
}

impl Recipe {
    /// Tokens that one step trains on.
    pub fn tokens_per_step(&self) -> usize {
        self.sequences_per_step() * self.context
    }

    /// Sequences that one step trains on.
    pub fn sequences_per_step(&self) -> usize {
        self.batch * self.accumulate
    }

    /// # Errors
    /// [`TrainError::Recipe`]: the first number out of range.
    pub fn check(&self) -> Result<(), TrainError> {
        let bad = |field, reason: &str| Err(TrainError::Recipe { field, reason: reason.to_owned() });
        for (field, value) in [
            ("steps", self.steps),
            ("batch", self.batch),
            ("context", self.context),
            ("accumulate", self.accumulate),
            ("eval-every", self.eval_every),
            ("save-every", self.save_every),
        ] {
            if value == 0 {
                return bad(field, "must be at least 1");
            }
        }
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let probability = |x: f64| (0.0..1.0).contains(&x);
        if !positive(self.learning_rate) {
            return bad("learning-rate", "must be above 0");
        }
        if !(0.0..=self.learning_rate).contains(&self.min_learning_rate) {
            return bad("min-learning-rate", "must be from 0 to the learning rate");
        }
        if self.warmup_steps > self.steps {
            return bad("warmup-steps", "must not be more than the steps");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return bad("weight-decay", "must be 0 or more");
        }
        if !(self.clip.is_finite() && self.clip >= 0.0) {
            return bad("clip", "must be 0 (never) or more");
        }
        for (field, value) in [("beta1", self.beta1), ("beta2", self.beta2), ("dropout", self.dropout)] {
            if !probability(value) {
                return bad(field, "must be from 0 to below 1");
            }
        }
        if !(positive(self.held_out) && self.held_out < 1.0) {
            return bad("held-out", "must be above 0 and below 1");
        }
        Ok(())
    }
}
