//! All steps of a run.

use std::{num::NonZeroUsize, ops::ControlFlow, path::Path, time::Instant};

use glass_backend::{Device, Dtype};
use glass_config::LlamaConfig;
use glass_eval::{EvalError, Windows, token_nlls};
use glass_generate::{Llama, PrefillOptions};
use glass_plot::loss_plot;

use crate::{
    Checkpoint, Corpus, Event, Outcome, Recipe, SequenceOrder, StepReport, TrainError, Trainer,
    divergence::DivergenceDetector,
    metrics::{EvaluationRecord, MetricsLog, Record, TrainRecord},
    output::OutputFolder,
};

/// A run: a model in training, the corpus it learns from, and the folder that receives the result.
pub struct Run {
    pub(crate) output: OutputFolder,
    pub(crate) config: LlamaConfig,
    pub(crate) device: Device,
    pub(crate) corpus: Corpus,
    pub(crate) order: SequenceOrder,
    pub(crate) trainer: Trainer,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) metrics: MetricsLog,
    pub(crate) divergence: DivergenceDetector,
    pub(crate) warnings: Vec<String>,
}

impl Run {
    /// What differs from what was asked, or is ignored: one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub fn recipe(&self) -> &Recipe {
        &self.checkpoint.recipe
    }

    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Steps done.
    pub fn steps(&self) -> usize {
        self.trainer.steps()
    }

    /// The model that the run began from; `None`: random weights.
    pub fn from(&self) -> Option<&str> {
        self.checkpoint.from.as_ref().map(|from| from.name.as_str())
    }

    /// The float type that the model is stored in. Training computes in float32.
    pub fn stored_dtype(&self) -> Dtype {
        self.output.dtype()
    }

    pub fn folder(&self) -> &Path {
        self.output.path()
    }

    /// Trains for all remaining steps. `on_event` receives every event and may stop the run, which is saved then, too.
    ///
    /// # Errors
    /// The loss is NaN or infinite, or diverges; the device fails; a file cannot be written. The folder keeps the last
    /// good checkpoint and its model.
    pub fn train(&mut self, on_event: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome, TrainError> {
        let result = self.remaining_steps(on_event);
        let good = match &result {
            // A step's loss shows what the step before did to the weights.
            Err(TrainError::NotFinite { step, .. }) => step.saturating_sub(2),
            Err(TrainError::HeldOutNotFinite { step, .. }) => step.saturating_sub(1),
            Err(TrainError::Diverged { .. }) => self.divergence.best_step(),
            _ => return result,
        };
        self.fall_back(good)?;
        result
    }

    /// Discards what was saved after step `good`, unless there is nothing older.
    fn fall_back(&mut self, good: usize) -> Result<(), TrainError> {
        Checkpoint::discard_after(self.folder(), good)?;
        let (checkpoint, folder) = Checkpoint::newest(self.folder())?;
        self.trainer = checkpoint.restore(&folder, &self.config, &self.device)?;
        self.checkpoint = checkpoint;
        self.save_model()
    }

    fn remaining_steps(&mut self, on_event: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome, TrainError> {
        let recipe = self.recipe().clone();
        let mut flow = ControlFlow::Continue(());
        if self.evaluation_is_due() {
            // The run was stopped between the step and its evaluation, or begins with a model that has learned something.
            flow = self.evaluate(on_event)?;
            self.output.save_plot(&self.plot()?)?;
        }
        if self.steps() > 0 {
            // The run may have been stopped between its checkpoint and the model for use.
            self.save_model()?;
        }
        while flow.is_continue() && self.steps() < recipe.steps {
            let start = Instant::now();
            let report = self.step()?;
            let seconds = start.elapsed().as_secs_f64();
            self.checkpoint.seconds += seconds;
            let step = self.steps();
            self.metrics.append(Record::Train(TrainRecord {
                step: step as u64,
                train_loss: report.loss,
                lr: report.learning_rate,
                grad_norm: report.gradient_norm,
                tokens: (step * recipe.tokens_per_step()) as u64,
                seconds: self.checkpoint.seconds,
            }))?;
            if let Some((now, best)) = self.divergence.push(step, report.loss) {
                return Err(TrainError::Diverged { step, now, best });
            }
            flow = on_event(Event::Step {
                step,
                report,
                tokens_per_second: recipe.tokens_per_step() as f64 / seconds.max(1e-9),
            });

            if flow.is_continue() && self.evaluation_is_due() {
                flow = self.evaluate(on_event)?;
            }
            let last = step == recipe.steps;
            if last || flow.is_break() || step.is_multiple_of(recipe.save_every) {
                self.save()?;
                if on_event(Event::Saved { step }).is_break() {
                    flow = ControlFlow::Break(());
                }
            }
        }
        Ok(self.outcome())
    }

    fn step(&mut self) -> Result<StepReport, TrainError> {
        let recipe = &self.checkpoint.recipe;
        let (rows, length) = (recipe.sequences_per_step(), recipe.context + 1);
        let first = self.trainer.steps() * rows;
        let sequences: Vec<&[u32]> =
            (first..first + rows).map(|number| &self.corpus.train[self.order.start(number)..][..length]).collect();
        let batches: Vec<Vec<&[u32]>> = sequences.chunks(recipe.batch).map(<[_]>::to_vec).collect();
        self.trainer.step(&batches)
    }

    /// The recipe wants an evaluation after the last step, and the metrics have none.
    fn evaluation_is_due(&self) -> bool {
        let (step, recipe) = (self.steps(), self.recipe());
        let due = (step > 0 || self.checkpoint.from.is_some())
            && (step == recipe.steps || step.is_multiple_of(recipe.eval_every));
        let last = self.metrics.evaluations().next_back();
        due && last.is_none_or(|record| record.step != step as u64)
    }

    /// The mean loss on the held-out text, in windows of `context` tokens without overlap: the number that
    /// `glass eval perplexity --window CONTEXT` prints.
    fn evaluate(&mut self, on_event: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<ControlFlow<()>, TrainError> {
        let step = self.steps();
        let window = NonZeroUsize::new(self.recipe().context).unwrap_or(NonZeroUsize::MIN);
        let windows = Windows::new(window, None)?;
        let llama = Llama::new(self.trainer.model_for_use(), &self.config, &self.device, Dtype::F32);
        let total = self.corpus.held_out.len() - 1;
        let (held_out, prefill) = (&self.corpus.held_out, PrefillOptions::default());
        let nlls = token_nlls(&llama, held_out, windows, prefill, &mut |scored| {
            on_event(Event::Evaluating { tokens: scored.tokens, total })
        });
        let nlls = nlls.map_err(|error| match error {
            // For `glass eval` it means damaged weights, here a run that went wrong.
            EvalError::NotFinite { value, .. } => TrainError::HeldOutNotFinite { step, loss: value },
            error => error.into(),
        })?;
        if nlls.len() < total {
            return Ok(ControlFlow::Break(()));
        }
        let loss = nlls.iter().sum::<f64>() / total as f64;
        self.metrics.append(Record::Evaluation(EvaluationRecord { step: step as u64, val_loss: loss }))?;
        Ok(on_event(Event::Evaluated {
            step,
            train_loss: self.divergence.mean(),
            loss,
            seconds: self.checkpoint.seconds,
        }))
    }

    /// Saves a checkpoint to resume from, and the model for use.
    fn save(&mut self) -> Result<(), TrainError> {
        self.checkpoint.step = self.steps();
        self.metrics.sync()?;
        self.checkpoint.save(self.output.path(), &self.trainer)?;
        self.save_model()
    }

    fn save_model(&self) -> Result<(), TrainError> {
        self.output.save_model(&self.trainer.model, &self.config, &self.plot()?)
    }

    /// The losses so far, as SVG.
    fn plot(&self) -> Result<String, TrainError> {
        let training = self.metrics.train_losses();
        let evaluations = self.metrics.evaluations();
        let validation = evaluations.map(|record| (record.step as f64, record.val_loss));
        let title = self.folder().file_name().unwrap_or_default();
        let subtitle = format!(
            "{} parameters, {} tokens per step, on {}",
            self.config.num_parameters(),
            self.recipe().tokens_per_step(),
            self.device.name()
        );
        let validation: Vec<_> = validation.collect();
        Ok(loss_plot(&training, &validation, &title.to_string_lossy(), &subtitle)?)
    }

    fn outcome(&self) -> Outcome {
        let evaluations = || {
            let records = self.metrics.evaluations();
            records.map(|record| (record.step as usize, record.val_loss))
        };
        Outcome {
            step: self.steps(),
            complete: self.steps() >= self.recipe().steps && !self.evaluation_is_due(),
            held_out_loss: evaluations().next_back().map(|(_, loss)| loss),
            best: evaluations().min_by(|a, b| a.1.total_cmp(&b.1)),
            seconds: self.checkpoint.seconds,
        }
    }
}
