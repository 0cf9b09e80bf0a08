//! What a killed run goes on from.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use glass_backend::{Device, Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{CheckpointSource, Existing, Files, Parameters, Saving, ShardSize};
use glass_config::LlamaConfig;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

use crate::{AdamW, Recipe, TrainError, Trainer, corpus::TextMark};

/// The folder of a run in which its checkpoints are.
pub const FOLDER: &str = "training";
const STATE: &str = "state.json";
const FORMAT: u32 = 1;

/// Checkpoints that are there at a time: what goes wrong in a step may be seen only after it was saved.
const KEPT: usize = 2;

/// Prefixes of the optimizer's moments, as PyTorch names them.
const MOMENTS: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// All that a run is, but for its config and its tokenizer, which lie beside and never change: weights, the optimizer's
/// moments, and how far it has come. What is read and what is dropped follows from seed and step, so they are the state
/// of the random numbers too.
///
/// One folder `training/step-N` with `model.safetensors` (the weights under their names, the moments behind `exp_avg.`
/// and `exp_avg_sq.`, all in float32) and `state.json`. It is written under another name and renamed, and only then
/// are older ones removed: a kill at any moment leaves a whole checkpoint. The one before the newest is kept, too.
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
    pub text_mark: TextMark,
    /// Whether the tokenizer was learned from the text, so that it can be encoded in pieces.
    pub tokenizer_is_learned: bool,
}

impl Checkpoint {
    pub fn new(
        recipe: Recipe,
        text: PathBuf,
        text_mark: TextMark,
        tokenizer_is_learned: bool,
    ) -> Self {
        Self {
            format: FORMAT,
            step: 0,
            seconds: 0.0,
            recipe,
            text,
            text_mark,
            tokenizer_is_learned,
        }
    }

    /// Writes it to the run's folder, and removes all but it and the one before.
    ///
    /// # Errors
    /// It cannot be written; those before it are still there then.
    pub fn save(&self, run: &Path, trainer: &Trainer) -> Result<(), TrainError> {
        let folder = run.join(FOLDER);
        let aside = folder.join("unfinished");
        let place = folder.join(name(self.step));
        let failed = TrainError::write;
        remove(&aside).map_err(failed(&aside))?;

        let mut tensors = Parameters::new(Dtype::F32);
        tensors.add("", &trainer.model);
        if let Some(moments) = trainer.optimizer.moments(&trainer.model) {
            for (prefix, moments) in MOMENTS.iter().zip(moments) {
                tensors.add(prefix, &moments);
            }
        }
        let mut saving = Saving::begin(&aside, Existing::Refuse)?;
        let state = serde_json::to_string_pretty(self).map_err(io::Error::from);
        let state = state.map_err(failed(&aside))? + "\n";
        saving.write(STATE, state.as_bytes())?;
        saving.write_tensors(&mut tensors, ShardSize::default(), &mut |_, _| {
            ControlFlow::Continue(())
        })?;
        saving.finish()?;

        // The same step can only be there already if nothing was learned since.
        remove(&place).map_err(failed(&place))?;
        fs::rename(&aside, &place).map_err(failed(&place))?;
        let mut all = steps(&folder).map_err(failed(&folder))?;
        all.sort_unstable();
        let (old, _) = all.split_at(all.len().saturating_sub(KEPT));
        for (_, old) in old {
            remove(old).map_err(failed(old))?;
        }
        Ok(())
    }

    /// Removes those after step `good`, unless there is no other.
    ///
    /// # Errors
    /// One cannot be removed.
    pub fn discard_after(run: &Path, good: usize) -> Result<(), TrainError> {
        let folder = run.join(FOLDER);
        let failed = TrainError::write;
        let mut all = steps(&folder).map_err(failed(&folder))?;
        all.sort_unstable();
        for (_, bad) in all.iter().skip(1).filter(|(step, _)| *step > good) {
            remove(bad).map_err(failed(bad))?;
        }
        Ok(())
    }

    /// The newest of a run's folder.
    ///
    /// # Errors
    /// [`TrainError::Resume`]: there is none, or it is not one of this version.
    pub fn find(run: &Path) -> Result<(Self, PathBuf), TrainError> {
        let folder = run.join(FOLDER);
        let failed = |path: &Path, reason: String| TrainError::Resume {
            path: path.to_owned(),
            reason,
        };
        let newest = steps(&folder)
            .ok()
            .and_then(|steps| steps.into_iter().max());
        let Some((_, place)) = newest else {
            return Err(failed(
                run,
                "holds no checkpoint to go on from (training/step-N): start one with --text and -o"
                    .into(),
            ));
        };
        let path = place.join(STATE);
        let text = fs::read(&path).map_err(|error| failed(&path, error.to_string()))?;
        let state: Self = serde_json::from_slice(&text).map_err(|error| {
            failed(
                &path,
                format!("is not a state that this version wrote ({error})"),
            )
        })?;
        match state.format {
            FORMAT => Ok((state, place)),
            other => Err(failed(
                &path,
                format!("is of format {other}, and this version reads {FORMAT}"),
            )),
        }
    }

    /// The trainer as it was, from the checkpoint's folder `place`.
    ///
    /// # Errors
    /// The files are damaged or do not fit the config.
    pub fn restore(
        &self,
        place: &Path,
        config: &LlamaConfig,
        device: &Device,
    ) -> Result<Trainer, TrainError> {
        let files = Files::open(place)?;
        let mut ignore = |_| {};
        let mut source = CheckpointSource::new(&files, &mut ignore);
        let training = device.training();
        let weights = Weights::new(&mut source, &training, Dtype::F32);
        let model = LlamaForCausalLM::load(weights, config)?;
        let mut optimizer = AdamW::new(&self.recipe);
        if self.step > 0 {
            let mut moments = |prefix| {
                let mut weights = Weights::new(&mut source, device, Dtype::F32);
                LlamaForCausalLM::load(weights.at(prefix), config)
            };
            let moments = [moments(MOMENTS[0])?, moments(MOMENTS[1])?];
            optimizer.restore(&model, moments, self.step);
        }
        source.finish(config.tie_word_embeddings)?;
        Ok(Trainer::new(
            model,
            optimizer,
            config,
            device,
            &self.recipe,
            self.step,
        ))
    }
}

fn name(step: usize) -> String {
    format!("step-{step}")
}

/// The checkpoints in the folder, by step.
fn steps(folder: &Path) -> io::Result<Vec<(usize, PathBuf)>> {
    let mut steps = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let number = file_name
            .to_str()
            .and_then(|name| name.strip_prefix("step-"));
        if let Some(step) = number.and_then(|number| number.parse().ok()) {
            steps.push((step, entry.path()));
        }
    }
    Ok(steps)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
