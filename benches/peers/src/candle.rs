//! Candle on the CPU, in a process of its own for every round.

use std::{collections::BTreeSet, fs, path::Path, path::PathBuf, time::Instant};

use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, mistral};
use serde_json::Value;

use crate::{
    args::{Dtype, Task},
    candle_config::Shape,
    error::PeerError,
    outcome::{Outcome, Times},
};

/// Loads the model, reads the prompt in one pass and chooses the most probable token each time.
pub fn run(task: &Task, config: Value) -> Result<Outcome, PeerError> {
    let start = Instant::now();
    let mut model = Model::load(task, Shape::of(config)?)?;
    let load = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let mut logits = model.forward(&task.ids, 0)?;
    let prefill = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let mut ids = vec![best(&logits)?];
    while ids.len() < task.generate {
        let position = task.ids.len() + ids.len() - 1;
        logits = model.forward(&ids[ids.len() - 1..], position)?;
        ids.push(best(&logits)?);
    }
    let decode = start.elapsed().as_secs_f64();
    let times = Times {
        load,
        prefill,
        decode,
    };
    Ok(Outcome::new(task.ids.len(), ids, times))
}

enum Model {
    Llama(Box<llama::Llama>, llama::Cache),
    Mistral(Box<mistral::Model>),
}

impl Model {
    fn load(task: &Task, shape: Shape) -> Result<Self, PeerError> {
        let dtype = match task.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::Bf16 => DType::BF16,
        };
        let files = weight_files(&task.folder)?;
        // SAFETY: the files are mapped while they are copied; nobody is expected to change a checkpoint meanwhile.
        let weights = unsafe { VarBuilder::from_mmaped_safetensors(&files, dtype, &Device::Cpu)? };
        Ok(match shape {
            Shape::Llama(config) => {
                let cache = llama::Cache::new(true, dtype, &config, &Device::Cpu)?;
                Model::Llama(Box::new(llama::Llama::load(weights, &config)?), cache)
            }
            Shape::Mistral { config, tied } => {
                let weights = weights.rename_f(move |name| match name {
                    "lm_head.weight" if tied => "model.embed_tokens.weight".to_owned(),
                    _ => name.to_owned(),
                });
                Model::Mistral(Box::new(mistral::Model::new(&config, weights)?))
            }
        })
    }

    /// Logits after the last of `ids`, the first of which stands at `position`.
    fn forward(&mut self, ids: &[u32], position: usize) -> candle_core::Result<Tensor> {
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        match self {
            Model::Llama(model, cache) => model.forward(&ids, position, cache),
            Model::Mistral(model) => model.forward(&ids, position),
        }
    }
}

/// The most probable token, the first of several.
fn best(logits: &Tensor) -> candle_core::Result<u32> {
    logits.flatten_all()?.argmax(D::Minus1)?.to_scalar()
}

/// `model.safetensors`, or the shards that the index beside it lists.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, PeerError> {
    let index = folder.join("model.safetensors.index.json");
    let bytes = match fs::read(&index) {
        Ok(bytes) => bytes,
        Err(_) => return Ok(vec![folder.join("model.safetensors")]),
    };
    let json: Value = serde_json::from_slice(&bytes).map_err(|source| PeerError::Json {
        path: index,
        source,
    })?;
    let shards = json["weight_map"].as_object().into_iter().flatten();
    let names: BTreeSet<&str> = shards.filter_map(|(_, file)| file.as_str()).collect();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("model.safetensors");
        assert_eq!(weight_files(folder.path()).unwrap(), [one]);
        let index =
            r#"{"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}"#;
        let path = folder.path().join("model.safetensors.index.json");
        fs::write(&path, index).unwrap();
        let names = ["1.safetensors", "2.safetensors"].map(|name| folder.path().join(name));
        assert_eq!(weight_files(folder.path()).unwrap(), names);
        fs::write(path, "[").unwrap();
        assert!(weight_files(folder.path()).is_err());
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        let logits = Tensor::new(&[[0.5_f32, 2.0, -1.0, 2.0]], &Device::Cpu).unwrap();
        assert_eq!(best(&logits).unwrap(), 1);
    }
}
