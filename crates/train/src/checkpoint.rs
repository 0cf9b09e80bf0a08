//! What a killed run resumes from.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use glass_backend::{Device, Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{CheckpointSource, Existing, Files, Parameters, Saving, ShardSize, sync_folder};
use glass_config::LlamaConfig;
use serde::{Deserialize, Serialize};

use crate::{AdamW, Recipe, TrainError, Trainer, corpus::TextFingerprint};

/// The folder of a run that holds its checkpoints.
pub const FOLDER: &str = "training";
const STATE: &str = "state.json";
/// A checkpoint that is being written, and one that is being removed: under its own name none is ever incomplete.
const UNFINISHED: &str = "unfinished";
const REMOVED: &str = "removed";
const FORMAT: u32 = 1;

/// Checkpoints kept at a time: what goes wrong in a step may show only after it was saved.
const KEPT: usize = 2;

/// Prefixes of the optimizer's moments, as in PyTorch.
const MOMENTS: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// The state of a run: weights, the optimizer's moments, and the step. The config and the tokenizer lie beside it and
/// never change. Sequence order and dropout follow from seed and step, so these are the state of the random numbers too.
///
/// One folder `training/step-N` with `model.safetensors` (the weights under their names, the moments under `exp_avg.` and
/// `exp_avg_sq.`, all float32) and `state.json`. It is written under another name and renamed, and only then are older
/// ones renamed and removed: whatever fails at any moment leaves a whole checkpoint. The newest two are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    format: u32,
    pub step: usize,
    /// Spent training, over all parts of the run.
    pub seconds: f64,
    pub recipe: Recipe,
    /// Where the text was read from.
    pub text: PathBuf,
    #[serde(rename = "text_mark")]
    pub text_fingerprint: TextFingerprint,
    /// The tokenizer was trained on the text, so it encodes in chunks.
    pub tokenizer_is_learned: bool,
    /// The model that the run began from; none: random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Pretrained>,
}

/// A model that a run began from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrained {
    /// Its folder or hub name.
    pub name: String,
    /// The small files beside its weights, which the result has too.
    pub files: Vec<String>,
}

impl Checkpoint {
    /// The state of a run before its first step.
    pub fn new(recipe: Recipe, text: PathBuf, text_fingerprint: TextFingerprint, tokenizer_is_learned: bool) -> Self {
        Self { format: FORMAT, step: 0, seconds: 0.0, recipe, text, text_fingerprint, tokenizer_is_learned, from: None }
    }

    /// Makes the run one of so many steps, warm-up included.
    ///
    /// # Errors
    /// [`TrainError::Recipe`]: more are done.
    pub fn set_steps(&mut self, steps: usize) -> Result<(), TrainError> {
        if steps < self.step {
            let reason = format!("is {steps}, and the run has done {} already: give {} or more", self.step, self.step);
            return Err(TrainError::Recipe { field: "steps", reason });
        }
        self.recipe.steps = steps;
        self.recipe.warmup_steps = self.recipe.warmup_steps.min(steps);
        Ok(())
    }

    /// Saves the checkpoint in the run's folder, and removes all others but the one before.
    ///
    /// # Errors
    /// A file cannot be written; the earlier checkpoints are still there then.
    pub fn save(&self, run: &Path, trainer: &Trainer) -> Result<(), TrainError> {
        let folder = run.join(FOLDER);
        let unfinished = folder.join(UNFINISHED);
        let finished = folder.join(format!("step-{}", self.step));
        let failed = TrainError::write;
        remove(&unfinished)?;

        let mut tensors = Parameters::new(Dtype::F32);
        tensors.add("", &trainer.model);
        if let Some(moments) = trainer.optimizer.moments(&trainer.model) {
            for (prefix, moments) in MOMENTS.iter().zip(moments) {
                tensors.add(prefix, &moments);
            }
        }
        let mut saving = Saving::begin(&unfinished, Existing::Refuse)?;
        saving.write(STATE, self.json().map_err(failed(&unfinished))?.as_bytes())?;
        saving.write_tensors(&mut tensors, ShardSize::default(), &mut |_, _| ControlFlow::Continue(()))?;
        saving.finish()?;

        // A checkpoint of the same step has the same state.
        remove(&finished)?;
        fs::rename(&unfinished, &finished).map_err(failed(&finished))?;
        sync_folder(&folder).map_err(failed(&folder))?;
        let all = list(&folder).map_err(failed(&folder))?;
        let old = &all[..all.len().saturating_sub(KEPT)];
        old.iter().try_for_each(|(_, old)| remove(old))
    }

    /// Replaces the state in the checkpoint's own folder: its numbers, not its tensors.
    ///
    /// # Errors
    /// It cannot be written; the earlier one is still there then.
    pub fn save_state(&self, folder: &Path) -> Result<(), TrainError> {
        let mut saving = Saving::begin(folder, Existing::Replace)?;
        saving.write(STATE, self.json().map_err(TrainError::write(folder))?.as_bytes())?;
        Ok(saving.finish()?)
    }

    fn json(&self) -> io::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Removes the checkpoints after step `good`, but never the oldest one.
    ///
    /// # Errors
    /// A checkpoint cannot be removed.
    pub fn discard_after(run: &Path, good: usize) -> Result<(), TrainError> {
        let folder = run.join(FOLDER);
        let all = list(&folder).map_err(TrainError::write(&folder))?;
        let mut bad = all.iter().skip(1).filter(|(step, _)| *step > good);
        bad.try_for_each(|(_, bad)| remove(bad))
    }

    /// The newest checkpoint in a run's folder, and the folder of its own.
    ///
    /// # Errors
    /// [`TrainError::Resume`]: there is none, or it is not of this version.
    pub fn newest(run: &Path) -> Result<(Self, PathBuf), TrainError> {
        let failed = |path: &Path, reason: String| TrainError::Resume { path: path.to_owned(), reason };
        let newest = list(&run.join(FOLDER)).ok().and_then(|mut all| all.pop());
        let Some((_, folder)) = newest else {
            return Err(failed(
                run,
                "holds no checkpoint to resume from (training/step-N): start a run with --text and -o".into(),
            ));
        };
        let path = folder.join(STATE);
        let text = fs::read(&path).map_err(|error| failed(&path, error.to_string()))?;
        let state: Self = serde_json::from_slice(&text).map_err(|error| {
            let reason = format!("is not a state that this version wrote ({error})");
            or_from_before(&folder, failed(&path, reason))
        })?;
        match state.format {
            FORMAT => Ok((state, folder)),
            other => Err(failed(&path, format!("is of format {other}, and this version reads {FORMAT}"))),
        }
    }

    /// The trainer in this state, from the checkpoint's own folder.
    ///
    /// # Errors
    /// The files are damaged or do not fit the config.
    pub fn restore(&self, folder: &Path, config: &LlamaConfig, device: &Device) -> Result<Trainer, TrainError> {
        let files = Files::open(folder).map_err(|error| or_from_before(folder, error.into()))?;
        let mut ignore = |_| {};
        let mut source = CheckpointSource::new(&files, config, &mut ignore);
        let training = device.training();
        let weights = Weights::new(&mut source, &training, Dtype::F32);
        let model = LlamaForCausalLM::load(weights, config)?;
        let mut optimizer = AdamW::for_model(&self.recipe, &model, config)?;
        if self.step > 0 {
            let mut moments = |prefix| {
                let mut weights = Weights::new(&mut source, device, Dtype::F32);
                LlamaForCausalLM::load(weights.at(prefix), config)
            };
            let moments = [moments(MOMENTS[0])?, moments(MOMENTS[1])?];
            optimizer.restore(&model, moments, self.step);
        }
        source.finish()?;
        Ok(Trainer::new(model, optimizer, config, device, &self.recipe, self.step))
    }
}

/// An error of a damaged checkpoint, with the way out where there is an earlier one.
fn or_from_before(damaged: &Path, error: TrainError) -> TrainError {
    let all = damaged.parent().and_then(|all| list(all).ok()).unwrap_or_default();
    match all.into_iter().map(|(_, folder)| folder).rfind(|folder| folder != damaged) {
        Some(before) => TrainError::Damaged { error: Box::new(error), damaged: damaged.to_owned(), before },
        None => error,
    }
}

/// Whether the run in a folder has begun.
pub(crate) fn has_checkpoints(run: &Path) -> bool {
    list(&run.join(FOLDER)).is_ok_and(|checkpoints| !checkpoints.is_empty())
}

/// The checkpoints in the folder, from the oldest to the newest.
fn list(folder: &Path) -> io::Result<Vec<(usize, PathBuf)>> {
    let mut checkpoints = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let step = name.to_str().and_then(|name| name.strip_prefix("step-"));
        if let Some(step) = step.and_then(|step| step.parse().ok()) {
            checkpoints.push((step, entry.path()));
        }
    }
    checkpoints.sort_unstable();
    Ok(checkpoints)
}

/// Removes a checkpoint, or nothing of it.
fn remove(checkpoint: &Path) -> Result<(), TrainError> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    let removed = checkpoint.with_file_name(REMOVED);
    gone(fs::remove_dir_all(&removed))
        .and_then(|()| gone(fs::rename(checkpoint, &removed)))
        .and_then(|()| gone(fs::remove_dir_all(&removed)))
        .map_err(TrainError::write(checkpoint))
}
