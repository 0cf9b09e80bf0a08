//! The result: a folder that loads like any other model's.

use std::{
    fs,
    io::{self, ErrorKind},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use glass_backend::Dtype;
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{Existing, FamilyTensors, Parameters, Saving, ShardSize, remove_model};
use glass_config::LlamaConfig;

use crate::{TrainError, checkpoint::FOLDER as CHECKPOINTS, metrics::METRICS};

const PLOT: &str = "loss.svg";

/// The small files beside the weights, in the order of [`OutputFolder::create`].
const SMALL_FILES: [&str; 4] = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];

/// The folder of a run, and the small files of its model, which never change.
pub(crate) struct OutputFolder {
    path: PathBuf,
    small_files: [Vec<u8>; 4],
}

impl OutputFolder {
    /// Creates the folder, or fills one that is there; of an earlier run or model in it nothing is left. `small_files`: the config, the generation config, the tokenizer and its
    /// config.
    pub fn create(path: PathBuf, existing: Existing, small_files: [Vec<u8>; 4]) -> Result<Self, TrainError> {
        let folder = Self { path, small_files };
        let mut saving = Saving::begin(&folder.path, existing)?;
        folder.write_small_files(&mut saving)?;
        folder.clear()?;
        saving.finish()?;
        Ok(folder)
    }

    /// Removes what an earlier run or a model left.
    fn clear(&self) -> Result<(), TrainError> {
        remove_model(&self.path)?;
        for file in [METRICS, PLOT].map(|name| self.path.join(name)) {
            gone(fs::remove_file(&file)).map_err(TrainError::write(&file))?;
        }
        let checkpoints = self.path.join(CHECKPOINTS);
        gone(fs::remove_dir_all(&checkpoints)).map_err(TrainError::write(&checkpoints))
    }

    /// The folder of an earlier run.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let mut small_files = <[Vec<u8>; 4]>::default();
        for (file, name) in small_files.iter_mut().zip(SMALL_FILES) {
            let path = path.join(name);
            *file = fs::read(&path)
                .map_err(|error| TrainError::Resume { path, reason: format!("cannot be read ({error})") })?;
        }
        Ok(Self { path: path.to_owned(), small_files })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the model and the plot in the folder.
    pub fn save_model(&self, model: &LlamaForCausalLM, config: &LlamaConfig, plot: &str) -> Result<(), TrainError> {
        let mut saving = Saving::begin(&self.path, Existing::Replace)?;
        self.write_small_files(&mut saving)?;
        saving.write(PLOT, plot.as_bytes())?;
        let mut tensors = Parameters::new(Dtype::F32);
        tensors.add("", model);
        let mut tensors = FamilyTensors::new(tensors, config);
        saving.write_tensors(&mut tensors, ShardSize::default(), &mut |_, _| ControlFlow::Continue(()))?;
        Ok(saving.finish()?)
    }

    /// Replaces the plot alone.
    pub fn save_plot(&self, plot: &str) -> Result<(), TrainError> {
        let mut saving = Saving::begin(&self.path, Existing::Replace)?;
        saving.write(PLOT, plot.as_bytes())?;
        Ok(saving.finish()?)
    }

    fn write_small_files(&self, saving: &mut Saving) -> Result<(), TrainError> {
        for (name, bytes) in SMALL_FILES.iter().zip(&self.small_files) {
            saving.write(name, bytes)?;
        }
        Ok(())
    }
}

/// What was not there need not be removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
