//! One step: read, compare, move.

use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Int, Tensor, TensorData},
};
use glass_attention::{Dropout, Dropouts, Sequences, Unobserved};
use glass_backend::Device;
use glass_causal_lm::LlamaForCausalLM;
use glass_config::LlamaConfig;

use crate::{AdamW, Recipe, TrainError, clip, cross_entropy, learning_rate, norm};

/// A model in training.
pub struct Trainer {
    /// On a device that remembers what it computes ([`Device::training`]).
    pub model: LlamaForCausalLM,
    pub optimizer: AdamW,
    config: LlamaConfig,
    device: Device,
    recipe: Recipe,
    step: usize,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Mean over the step's tokens, before the step, in nats.
    pub loss: f64,
    /// Before clipping.
    pub gradient_norm: f64,
    pub learning_rate: f64,
}

impl Trainer {
    /// `device` as it was opened; the trainer makes it remember. `step`: how many steps are behind.
    pub fn new(
        model: LlamaForCausalLM,
        optimizer: AdamW,
        config: &LlamaConfig,
        device: &Device,
        recipe: &Recipe,
        step: usize,
    ) -> Self {
        Self { model, optimizer, config: config.clone(), device: device.training(), recipe: recipe.clone(), step }
    }

    /// Steps done.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// Learns from `recipe.accumulate` batches, each of sequences of `context + 1` ids.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`]: loss or gradients are not numbers; the model is then as it was before. The device
    /// cannot hold the batch, or fails.
    pub fn step(&mut self, batches: &[Vec<&[u32]>]) -> Result<StepReport, TrainError> {
        // What is dropped depends on the step alone, so that a resumed run drops the same.
        let seed = self.recipe.seed ^ (self.step as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.device.burn().seed(seed);
        let share = 1.0 / batches.len() as f64;
        let mut accumulator = GradientsAccumulator::new();
        let mut loss = 0.0;
        for batch in batches {
            let batch_loss = self.loss(batch)?; // [1]
            loss += share * f64::from(batch_loss.clone().into_scalar::<f32>());
            let gradients = (batch_loss * share).backward();
            let gradients = GradientsParams::from_grads(gradients, &self.model);
            accumulator.accumulate(&self.model, gradients);
        }
        let gradients = accumulator.grads();
        let gradient_norm = norm(&self.model, &gradients);
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            return Err(TrainError::NotFinite { step: self.step + 1, loss, gradient_norm });
        }
        let learning_rate = learning_rate(&self.recipe, self.step);
        let factor = clip(gradient_norm, self.recipe.clip);
        // The model moves out and in again, because a step consumes it.
        let model = self.model.clone();
        self.model = self.optimizer.step(model, gradients, factor, learning_rate);
        self.step += 1;
        Ok(StepReport { loss, gradient_norm, learning_rate })
    }

    /// The mean loss over sequences of `context + 1` ids each, `[1]`.
    fn loss(&self, batch: &[&[u32]]) -> Result<Tensor<1>, TrainError> {
        let seq = batch[0].len() - 1;
        let ids = |from: usize| -> Tensor<2, Int> {
            let ids: Vec<i64> =
                batch.iter().flat_map(|row| row[from..from + seq].iter().map(|&id| i64::from(id))).collect();
            let device = self.device.burn().clone().without_autodiff();
            Tensor::from_data(TensorData::new(ids, [batch.len(), seq]), &device)
        };
        let dropouts = Dropouts {
            attention: Dropout { p: self.config.attention_dropout },
            residual: Dropout { p: self.recipe.dropout },
        };
        let whole = Sequences::Whole { padding: None, dropouts };
        let logits = self.model.forward(ids(0), whole, &mut Unobserved).map_err(glass_generate::Error::from)?; // [batch, seq, vocab_size]
        let logits = logits.flatten::<2>(0, 1); // [batch * seq, vocab_size]
        Ok(cross_entropy(logits, ids(1).flatten(0, 1)))
    }

    /// The model as it is now, for use: nothing is remembered in it.
    pub fn model_for_use(&self) -> LlamaForCausalLM {
        self.model.clone().valid()
    }
}
