//! The result: a folder that loads like any other model's.

use std::{
    fs,
    io::{self, ErrorKind},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use glass_backend::Dtype;
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{COMPANIONS, Existing, FamilyTensors, Parameters, Saving, ShardSize, remove_model};
use glass_config::LlamaConfig;

use crate::{
    TrainError,
    checkpoint::{FOLDER as CHECKPOINTS, has_checkpoints},
    metrics::METRICS,
};

const PLOT: &str = "loss.svg";
/// A folder in the run's own while it has no checkpoint: what is there is not yet a run, and nobody else's.
const STARTING: &str = ".glass-starting";

/// The small files of a model that is trained from random weights.
pub const SMALL_FILES: [&str; 4] = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];

/// Whether a run in `folder` would write over this file, or remove it.
pub(crate) fn overwrites(folder: &Path, file: &Path) -> bool {
    let (Ok(folder), Ok(file)) = (folder.canonicalize(), file.canonicalize()) else { return false };
    let Ok(inside) = file.strip_prefix(&folder) else { return false };
    let is_own = |name: &str| [METRICS, PLOT, "config.json"].contains(&name) || COMPANIONS.contains(&name);
    inside.starts_with(CHECKPOINTS) || inside.starts_with(STARTING) || inside.to_str().is_some_and(is_own)
}

/// The folder of a run, and the small files of its model, which never change.
///
/// A run begins with its first checkpoint. A start that fails before leaves nothing; one that is killed leaves what the next
/// start recognizes and removes.
pub(crate) struct OutputFolder {
    path: PathBuf,
    small_files: Vec<(String, Vec<u8>)>,
    /// The float type that the model is stored in.
    dtype: Dtype,
    /// Whether the folder was not there before.
    made: bool,
}

impl OutputFolder {
    /// Creates the folder, or fills one that is there; of an earlier run or model in it nothing is left.
    pub fn create(
        path: PathBuf,
        existing: Existing,
        small_files: Vec<(String, Vec<u8>)>,
        dtype: Dtype,
    ) -> Result<Self, TrainError> {
        let made = !path.exists();
        let folder = Self { path, small_files, dtype, made };
        if folder.path.join(STARTING).exists() && !has_checkpoints(&folder.path) {
            folder.clear()?;
        }
        let saving = Saving::begin(&folder.path, existing)?;
        match folder.fill(saving) {
            Ok(()) => Ok(folder),
            Err(error) => {
                folder.undo();
                Err(error)
            }
        }
    }

    fn fill(&self, mut saving: Saving) -> Result<(), TrainError> {
        self.write_small_files(&mut saving)?;
        self.clear()?;
        for folder in [STARTING, CHECKPOINTS].map(|name| self.path.join(name)) {
            fs::create_dir(&folder).map_err(TrainError::write(&folder))?;
        }
        Ok(saving.finish()?)
    }

    /// The first checkpoint is there.
    pub fn begun(&self) -> Result<(), TrainError> {
        let starting = self.path.join(STARTING);
        fs::remove_dir(&starting).map_err(TrainError::write(&starting))
    }

    /// Removes what there is of a run that has not begun.
    pub fn undo(&self) {
        // What cannot be removed stays: the reason to remove it is told, and this would hide it.
        let _ = self.clear();
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }

    /// Removes what an earlier run or a model left.
    fn clear(&self) -> Result<(), TrainError> {
        remove_model(&self.path)?;
        for file in [METRICS, PLOT].map(|name| self.path.join(name)) {
            gone(fs::remove_file(&file)).map_err(TrainError::write(&file))?;
        }
        for folder in [CHECKPOINTS, STARTING].map(|name| self.path.join(name)) {
            gone(fs::remove_dir_all(&folder)).map_err(TrainError::write(&folder))?;
        }
        Ok(())
    }

    /// The folder of an earlier run, with these small files.
    pub fn open(path: &Path, names: impl IntoIterator<Item = String>, dtype: Dtype) -> Result<Self, TrainError> {
        let read = |name: String| {
            let path = path.join(&name);
            match fs::read(&path) {
                Ok(bytes) => Ok((name, bytes)),
                Err(error) => Err(TrainError::Resume { path, reason: format!("cannot be read ({error})") }),
            }
        };
        let small_files = names.into_iter().map(read).collect::<Result<_, _>>()?;
        // A run that was killed right after its first checkpoint still has it.
        let starting = path.join(STARTING);
        gone(fs::remove_dir(&starting)).map_err(TrainError::write(&starting))?;
        Ok(Self { path: path.to_owned(), small_files, dtype, made: false })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The float type that the model is stored in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Replaces the model and the plot in the folder.
    pub fn save_model(&self, model: &LlamaForCausalLM, config: &LlamaConfig, plot: &str) -> Result<(), TrainError> {
        let mut saving = Saving::begin(&self.path, Existing::Replace)?;
        self.write_small_files(&mut saving)?;
        saving.write(PLOT, plot.as_bytes())?;
        let mut tensors = Parameters::new(self.dtype);
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
        for (name, bytes) in &self.small_files {
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
