//! A model that a run begins from: its config, its small files and its weights.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use glass_backend::{Device, Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{COMPANIONS, CheckpointSource, Files, own_head};
use glass_config::{LlamaConfig, Override, Stored, config_text};

use crate::TrainError;

/// The folder of a model to train on from, in the Hugging Face layout.
pub(crate) struct Folder {
    path: PathBuf,
    files: Files,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if !path.join("tokenizer.json").is_file() {
            let reason = "has no tokenizer.json, which would make the text ids: add it".into();
            return Err(TrainError::Text { path: path.to_owned(), reason });
        }
        Ok(Self { path: path.to_owned(), files: Files::open(path)? })
    }

    /// Its config, with what the run sets; and a warning where it is not what the file says.
    ///
    /// # Errors
    /// Its weights are quantized: they cannot be moved a little.
    pub fn config(&self) -> Result<(LlamaConfig, Option<String>), TrainError> {
        let mut config = LlamaConfig::from_file_to_train(&self.path.join("config.json"))?;
        // A head of its own is trained as one.
        let warning = own_head(&self.files, &mut config);
        match config.quantization_config {
            Some(_) => Err(TrainError::Quantized { path: self.path.clone() }),
            None => Ok((config, warning)),
        }
    }

    /// The small files of the result: those of the folder, but for what the run sets in the config.
    pub fn small_files(
        &self,
        config: &LlamaConfig,
        overrides: &[Override],
        dtype: Dtype,
    ) -> Result<Vec<(String, Vec<u8>)>, TrainError> {
        let text = match overrides {
            [] => {
                let untied = !config.tie_word_embeddings;
                config_text(&self.path.join("config.json"), Stored::As(stored(dtype)), untied)?
            }
            _ => format!("{:#}\n", config.to_json()),
        };
        let mut files = vec![("config.json".to_owned(), text.into_bytes())];
        for name in COMPANIONS {
            let path = self.path.join(name);
            match fs::read(&path) {
                Ok(bytes) => files.push((name.to_owned(), bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(TrainError::Text { path, reason: format!("cannot be read ({error})") }),
            }
        }
        Ok(files)
    }

    /// The model in float32, on a device that records what it computes; and warnings.
    pub fn load(&self, config: &LlamaConfig, device: &Device) -> Result<(LlamaForCausalLM, Vec<String>), TrainError> {
        let mut ignore = |_| {};
        let mut source = CheckpointSource::new(&self.files, config, &mut ignore);
        let training = device.training();
        let model = LlamaForCausalLM::load(Weights::new(&mut source, &training, Dtype::F32), config)?;
        Ok((model, source.finish()?))
    }
}

/// The name of a type in a config.
pub(crate) fn stored(dtype: Dtype) -> glass_config::Dtype {
    match dtype {
        Dtype::F32 => glass_config::Dtype::Float32,
        Dtype::F16 => glass_config::Dtype::Float16,
        Dtype::BF16 => glass_config::Dtype::BFloat16,
    }
}

/// The type that a config says weights are stored in; float32 if it does not say.
pub(crate) fn stored_dtype(config: &LlamaConfig) -> Dtype {
    match config.dtype {
        None | Some(glass_config::Dtype::Float32) => Dtype::F32,
        Some(glass_config::Dtype::Float16) => Dtype::F16,
        Some(glass_config::Dtype::BFloat16) => Dtype::BF16,
    }
}
