//! `model.safetensors.index.json`: which shard holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::error::CheckpointError;
use crate::shard::{LFS_POINTER, require_file};

/// The `weight_map` of a sharded checkpoint.
#[derive(Debug)]
pub struct Index {
    file: PathBuf,
    weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads the index at `file`.
    ///
    /// # Errors
    /// The file cannot be read, is a Git LFS pointer, is not JSON, has no `weight_map` of tensor names to file names, or
    /// names a file outside its own folder: an index comes from a download and must not decide what else is opened.
    pub fn read(file: &Path) -> Result<Self, CheckpointError> {
        let broken = |reason: String| CheckpointError::Index { file: file.to_owned(), reason };
        require_file(file)?;
        let text = std::fs::read(file).map_err(|source| CheckpointError::Read { file: file.to_owned(), source })?;
        if text.starts_with(LFS_POINTER) {
            return Err(CheckpointError::LfsPointer(file.to_owned()));
        }
        let json: Value = glass_json::parse(&text).map_err(|error| broken(format!("not JSON ({error})")))?;
        let entries = match json.get("weight_map") {
            Some(Value::Object(entries)) => entries,
            Some(_) => return Err(broken("weight_map is not an object".into())),
            None => return Err(broken("has no weight_map".into())),
        };
        if entries.is_empty() {
            return Err(broken("weight_map names no tensor".into()));
        }
        let mut weight_map = BTreeMap::new();
        for (tensor, shard) in entries {
            let Value::String(shard) = shard else {
                return Err(broken(format!("weight_map gives {shard} for tensor {tensor:?}, not a file name")));
            };
            if !stays_inside(shard) {
                return Err(broken(format!(
                    "weight_map sends tensor {tensor:?} to {shard:?}, which is not a file inside the folder"
                )));
            }
            weight_map.insert(tensor.clone(), shard.clone());
        }
        Ok(Self { file: file.to_owned(), weight_map })
    }

    /// The index file itself.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// File names of the shards, relative to the folder, sorted, each once.
    pub fn shards(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Tensor name and the shard that holds it, sorted by tensor.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.weight_map.iter().map(|(tensor, shard)| (tensor.as_str(), shard.as_str()))
    }

    /// Whether the index names `tensor`.
    pub fn names(&self, tensor: &str) -> bool {
        self.weight_map.contains_key(tensor)
    }
}

/// Whether a relative path consists of plain names only. A backslash or a colon is refused on every system, so that an
/// index means the same everywhere.
fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
