//! What is measured: a model, the device and precision it computes in, and the task.

use std::{fmt, path::PathBuf};

use glass_backend::{Device, Dtype};
use glass_config::{LlamaConfig, Override};
use glass_generate::{Llama, LoadOptions, ModelFiles};
use serde::{Deserialize, Serialize};

use crate::{BenchError, Precision, SEED, SHAPES, random_model};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A folder in the Hugging Face layout, or a GGUF file.
    Folder(PathBuf),
    /// A [`Shape`](crate::Shape) of this name, with random weights.
    Shape(String),
}

/// One model on one device, in one precision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub origin: Origin,
    /// `key=value`, laid over the config.
    pub overrides: Vec<String>,
    pub device: String,
    /// A [`Precision`].
    pub dtype: String,
    /// Nobody asked for it by name: where the device does not compute it, the next best is measured.
    pub any_dtype: bool,
    /// Which bodies the fused operations have.
    pub kernels: String,
    /// A [`KvDtype`](glass_backend::KvDtype) that was asked for.
    pub cache_dtype: Option<String>,
}

/// `flex f32 plain`.
impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.device, self.dtype, self.kernels)
    }
}

impl Origin {
    /// The config, without any weights, and what the weights are stored in: random ones are float32.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn config(&self, overrides: &[Override]) -> Result<(LlamaConfig, Precision), BenchError> {
        match self {
            Origin::Folder(folder) => {
                let files = ModelFiles::open(folder)?;
                let mut config = files.config(overrides)?;
                // Loading says what is wrong with the files, or odd.
                let stored = files.stored(&mut config).map_or(Dtype::F32.into(), |(stored, _)| stored);
                Ok((config, stored))
            }
            Origin::Shape(name) => {
                let shape = SHAPES.into_iter().find(|shape| shape.name == name);
                let text = shape.map_or("", |shape| shape.config);
                let config = LlamaConfig::from_json(text, name, overrides)?;
                Ok((config, Dtype::F32.into()))
            }
        }
    }

    /// The whole model.
    ///
    /// # Errors
    /// A model that cannot be loaded there.
    pub fn load(&self, overrides: &[Override], device: Device, precision: Precision) -> Result<Llama, BenchError> {
        match self {
            Origin::Folder(folder) => {
                let precision = Some(precision);
                Ok(Llama::load(folder, LoadOptions { device, precision, overrides, progress: &mut |_, _| {} })?)
            }
            Origin::Shape(_) => {
                device.check_dtype(device.computes(precision.dtype))?;
                let (config, _) = self.config(overrides)?;
                let llama = random_model(&config, &device, precision, SEED)?;
                device.sync()?;
                Ok(llama)
            }
        }
    }
}

/// What a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Tokens in the cache before the prompt.
    pub depth: usize,
    /// Tokens prefilled then.
    pub prompt: usize,
    /// Tokens decoded after them.
    pub new_tokens: usize,
}
