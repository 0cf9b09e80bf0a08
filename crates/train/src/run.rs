//! All steps of a run.

use std::{fs, num::NonZeroUsize, ops::ControlFlow, path::Path, time::Instant};

use glass_backend::{Device, Dtype};
use glass_checkpoint::{Existing, Parameters, Saving, ShardSize};
use glass_config::LlamaConfig;
use glass_eval::{EvalError, Windows, token_nlls};
use glass_generate::{Llama, Memory};
use glass_plot::{Point, loss_plot};

use crate::{
    Checkpoint, Corpus, Order, Recipe, StepReport, TrainError, Trainer,
    files::Files,
    metrics::{EvaluationRecord, MetricsLog, Record, TrainRecord},
    watch::Watch,
};

/// One line per step and per measurement.
pub(crate) const METRICS: &str = "metrics.jsonl";
const PLOT: &str = "loss.svg";

/// A run: a model, what it learns from, and the folder where it leaves what it has learned.
pub struct Run {
    pub(crate) files: Files,
    pub(crate) config: LlamaConfig,
    pub(crate) device: Device,
    pub(crate) corpus: Corpus,
    pub(crate) order: Order,
    pub(crate) trainer: Trainer,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) metrics: MetricsLog,
    pub(crate) records: Vec<Record>,
    pub(crate) watch: Watch,
    pub(crate) warnings: Vec<String>,
}

/// What somebody who waits wants to hear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    Step {
        /// Steps done.
        step: usize,
        report: StepReport,
        /// Of this step.
        tokens_per_second: f64,
    },
    /// The held-out text is being read.
    Measuring {
        tokens: usize,
        total: usize,
    },
    Measured {
        step: usize,
        /// Mean of the last steps.
        train_loss: Option<f64>,
        loss: f64,
        /// Spent training so far.
        seconds: f64,
    },
    Saved {
        step: usize,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub step: usize,
    /// Whether all steps of the recipe are done, and measured.
    pub complete: bool,
    /// Of the last measurement, in nats per token.
    pub held_out_loss: Option<f64>,
    /// The lowest, and the step at which it was measured.
    pub best: Option<(usize, f64)>,
    pub seconds: f64,
}

impl Run {
    /// What is not as asked, or not used: one line each.
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

    pub fn folder(&self) -> &Path {
        &self.files.folder
    }

    /// Does all steps that are left. `each` hears of everything, and may break the run off: what was learned is saved
    /// then, too.
    ///
    /// # Errors
    /// The loss is not a number, or diverges; the device fails; something cannot be written. The last good checkpoint is
    /// still there, and the model in the folder is that one's.
    pub fn go(
        &mut self,
        each: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Outcome, TrainError> {
        let done = self.all_steps(each);
        let good = match &done {
            // What shows in a step was done to the weights by the one before.
            Err(TrainError::NotFinite { step, .. }) => step.saturating_sub(2),
            Err(TrainError::HeldOutNotFinite { step, .. }) => step.saturating_sub(1),
            Err(TrainError::Diverged { .. }) => self.watch.best_step(),
            _ => return done,
        };
        self.fall_back(good)?;
        done
    }

    /// Forgets what was saved after step `good`, as far as there is anything older.
    fn fall_back(&mut self, good: usize) -> Result<(), TrainError> {
        Checkpoint::discard_after(self.folder(), good)?;
        let (checkpoint, place) = Checkpoint::find(self.folder())?;
        self.trainer = checkpoint.restore(&place, &self.config, &self.device)?;
        self.checkpoint = checkpoint;
        self.publish()
    }

    fn all_steps(
        &mut self,
        each: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Outcome, TrainError> {
        let recipe = self.recipe().clone();
        let mut flow = ControlFlow::Continue(());
        if self.is_to_be_measured() {
            // It was broken off between the step and its measurement.
            flow = self.measure(each)?;
            self.draw()?;
        }
        while flow.is_continue() && self.steps() < recipe.steps {
            let start = Instant::now();
            let report = self.step()?;
            let seconds = start.elapsed().as_secs_f64();
            self.checkpoint.seconds += seconds;
            let step = self.steps();
            self.record(Record::Train(TrainRecord {
                step: step as u64,
                train_loss: report.loss,
                lr: report.learning_rate,
                grad_norm: report.gradient_norm,
                tokens: (step * recipe.tokens_per_step()) as u64,
                seconds: self.checkpoint.seconds,
            }))?;
            if let Some((now, best)) = self.watch.diverges(step, report.loss) {
                return Err(TrainError::Diverged { step, now, best });
            }
            flow = each(Event::Step {
                step,
                report,
                tokens_per_second: recipe.tokens_per_step() as f64 / seconds.max(1e-9),
            });

            if flow.is_continue() && self.is_to_be_measured() {
                flow = self.measure(each)?;
            }
            let last = step == recipe.steps;
            if last || flow.is_break() || step.is_multiple_of(recipe.save_every) {
                self.save()?;
                // Breaking off twice is breaking off.
                if each(Event::Saved { step }).is_break() {
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
        let sequences: Vec<&[u32]> = (first..first + rows)
            .map(|number| &self.corpus.train[self.order.start(number)..][..length])
            .collect();
        let batches: Vec<Vec<&[u32]>> = sequences.chunks(recipe.batch).map(<[_]>::to_vec).collect();
        self.trainer.step(&batches)
    }

    /// Whether the last step is one to measure after, and was not yet.
    fn is_to_be_measured(&self) -> bool {
        let (step, recipe) = (self.steps(), self.recipe());
        let due = step > 0 && (step == recipe.steps || step.is_multiple_of(recipe.eval_every));
        let of_this_step = |record: &Record| matches!(record, Record::Evaluation(record) if record.step == step as u64);
        due && !self.records.iter().rev().any(of_this_step)
    }

    /// The mean loss on the held-out text, read in windows of `context` tokens without overlap: the number that
    /// `glass eval perplexity --window CONTEXT` gives.
    fn measure(
        &mut self,
        each: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let step = self.steps();
        let window = NonZeroUsize::new(self.recipe().context).unwrap_or(NonZeroUsize::MIN);
        let windows = Windows::new(window, None)?;
        let llama = Llama::new(
            self.trainer.model_for_use(),
            &self.config,
            &self.device,
            Dtype::F32,
        );
        let total = self.corpus.held_out.len() - 1;
        let (held_out, memory) = (&self.corpus.held_out, Memory::default());
        let nlls = token_nlls(&llama, held_out, windows, memory, &mut |scored| {
            each(Event::Measuring {
                tokens: scored.tokens,
                total,
            })
        });
        let nlls = nlls.map_err(|error| match error {
            // There it means damaged weights, here a run that went wrong.
            EvalError::NotFinite { value, .. } => {
                TrainError::HeldOutNotFinite { step, loss: value }
            }
            error => error.into(),
        })?;
        if nlls.len() < total {
            return Ok(ControlFlow::Break(()));
        }
        let loss = nlls.iter().sum::<f64>() / total as f64;
        self.record(Record::Evaluation(EvaluationRecord {
            step: step as u64,
            val_loss: loss,
        }))?;
        Ok(each(Event::Measured {
            step,
            train_loss: self.watch.mean(),
            loss,
            seconds: self.checkpoint.seconds,
        }))
    }

    /// A checkpoint to go on from, and what it is good for.
    fn save(&mut self) -> Result<(), TrainError> {
        self.checkpoint.step = self.steps();
        self.metrics.sync()?;
        self.checkpoint.save(&self.files.folder, &self.trainer)?;
        self.publish()
    }

    /// The model as it is now as a folder for use, and the curve so far.
    fn publish(&self) -> Result<(), TrainError> {
        let mut saving = Saving::begin(&self.files.folder, Existing::Replace)?;
        self.files.write_all(&mut saving)?;
        let mut tensors = Parameters::new(Dtype::F32);
        tensors.add("", &self.trainer.model);
        saving.write_tensors(&mut tensors, ShardSize::default(), &mut |_, _| {
            ControlFlow::Continue(())
        })?;
        saving.finish()?;
        self.draw()
    }

    /// The curve so far.
    fn draw(&self) -> Result<(), TrainError> {
        let path = self.files.folder.join(PLOT);
        let title = self.files.folder.file_name().unwrap_or_default();
        let subtitle = format!(
            "{} parameters, {} tokens per step, on {}",
            self.config.num_parameters(),
            self.recipe().tokens_per_step(),
            self.device.name()
        );
        let (mut training, mut validation): (Vec<Point>, Vec<Point>) = Default::default();
        for record in &self.records {
            let step = record.step() as f64;
            match record {
                Record::Train(record) => training.push((step, record.train_loss)),
                Record::Evaluation(record) => validation.push((step, record.val_loss)),
            }
        }
        let svg = loss_plot(&training, &validation, &title.to_string_lossy(), &subtitle)?;
        let aside = path.with_extension("svg.tmp");
        fs::write(&aside, svg)
            .and_then(|()| fs::rename(&aside, &path))
            .map_err(|source| TrainError::Write { path, source })
    }

    fn record(&mut self, record: Record) -> Result<(), TrainError> {
        self.metrics.append(&record)?;
        self.records.push(record);
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        let measured = || {
            self.records.iter().filter_map(|record| match record {
                Record::Evaluation(record) => Some((record.step as usize, record.val_loss)),
                Record::Train(_) => None,
            })
        };
        Outcome {
            step: self.steps(),
            complete: self.steps() >= self.recipe().steps && !self.is_to_be_measured(),
            held_out_loss: measured().next_back().map(|(_, loss)| loss),
            best: measured().min_by(|a, b| a.1.total_cmp(&b.1)),
            seconds: self.checkpoint.seconds,
        }
    }
}
