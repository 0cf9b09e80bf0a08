//! The weight files of a checkpoint folder, seen as one map from tensor name to bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use glass_gguf::Mapping;
use safetensors::Dtype;

use crate::error::CheckpointError;
use crate::index::Index;
use crate::shard::{self, Entry};

/// File name of the weights in one piece.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the index of sharded weights.
pub const WEIGHTS_INDEX: &str = "model.safetensors.index.json";

/// An opened checkpoint. Files of a folder are mapped into memory, not read: opening costs the headers only, and bytes come
/// from disk when a tensor is looked at.
pub struct Files {
    origin: PathBuf,
    shards: Vec<Mapping>,
    tensors: BTreeMap<String, Place>,
    warnings: Vec<String>,
}

struct Place {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// One tensor as it lies in its file.
#[derive(Debug, Clone, Copy)]
pub struct RawTensor<'a> {
    /// The file that holds it.
    pub file: &'a Path,
    pub dtype: Dtype,
    /// Row-major, outermost dimension first; empty for a scalar.
    pub shape: &'a [usize],
    /// Little-endian elements, as many as `shape` says; a view into the file, at any alignment.
    pub bytes: &'a [u8],
}

impl Files {
    /// Opens the weights in `folder`: `model.safetensors` if it is there, else the shards that
    /// `model.safetensors.index.json` names (the order of `transformers`).
    ///
    /// # Errors
    /// Anything that makes the files not exactly what their headers and the index describe, see [`CheckpointError`].
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        match std::fs::metadata(folder) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(CheckpointError::NotAFolder(folder.to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CheckpointError::NoFolder(folder.to_owned()));
            }
            Err(source) => {
                return Err(CheckpointError::Read { file: folder.to_owned(), source });
            }
        }
        let single = folder.join(WEIGHTS);
        let index = folder.join(WEIGHTS_INDEX);
        let mut files = Self::none(&single);
        if is_there(&single)? {
            files.add(shard::open(&single)?)?;
            if is_there(&index)? {
                files
                    .warnings
                    .push(format!("{} is not used: {WEIGHTS} lies beside it and comes first", index.display()));
            }
        } else if is_there(&index)? {
            files.add_sharded(&Index::read(&index)?)?;
            files.origin = index;
        } else {
            return Err(no_safetensors(folder));
        }
        Ok(files)
    }

    /// The bytes of a safetensors file with all weights; `name` stands for it in errors.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_bytes(name: &Path, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, CheckpointError> {
        let mut files = Self::none(name);
        files.add(shard::in_memory(name, bytes.into())?)?;
        Ok(files)
    }

    fn none(origin: &Path) -> Self {
        Self { origin: origin.to_owned(), shards: Vec::new(), tensors: BTreeMap::new(), warnings: Vec::new() }
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<RawTensor<'_>> {
        let place = self.tensors.get(name)?;
        let shard = &self.shards[place.shard];
        Some(RawTensor {
            file: shard.path(),
            dtype: place.dtype,
            shape: &place.shape,
            bytes: shard.bytes(place.range.clone()),
        })
    }

    /// The file that holds tensor `name`, and where in it these of its bytes are.
    pub(super) fn place(&self, name: &str, bytes: Range<usize>) -> Option<(&Mapping, Range<usize>)> {
        let place = self.tensors.get(name)?;
        let start = place.range.start;
        Some((&self.shards[place.shard], start + bytes.start..start + bytes.end))
    }

    /// Lets the system take back the memory that a look at this tensor's bytes took; another look reads them again.
    pub fn release(&self, name: &str) {
        if let Some(place) = self.tensors.get(name) {
            self.shards[place.shard].release(place.range.clone());
        }
    }

    /// Bytes of all tensors together, headers not counted.
    pub fn total_bytes(&self) -> u64 {
        self.tensors.values().map(|place| place.range.len() as u64).sum()
    }

    /// The file that says which tensors there are: the weights, or the index of their shards.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// One line for each thing that is odd but does not stop loading, to be shown to the user.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn add_sharded(&mut self, index: &Index) -> Result<(), CheckpointError> {
        for shard in index.shards() {
            let path = index.file().with_file_name(shard);
            if !is_there(&path)? {
                return Err(CheckpointError::NoShard { index: index.file().to_owned(), shard: shard.to_owned() });
            }
            self.add(shard::open(&path)?)?;
        }
        for (tensor, shard) in index.entries() {
            let path = index.file().with_file_name(shard);
            if self.get(tensor).is_none_or(|found| found.file != path) {
                return Err(CheckpointError::NotInShard {
                    index: index.file().to_owned(),
                    tensor: tensor.to_owned(),
                    shard: shard.to_owned(),
                });
            }
        }
        // transformers takes what the shards hold, so such tensors count; but the index was to be complete.
        let unlisted: Vec<&str> = self.names().filter(|name| !index.names(name)).collect();
        if let Some(first) = unlisted.first() {
            let warning = format!(
                "{} does not list {} of the tensors in its shards, such as {first:?}; they are taken from the shards",
                index.file().display(),
                unlisted.len()
            );
            self.warnings.push(warning);
        }
        Ok(())
    }

    fn add(&mut self, (shard, entries): (Mapping, Vec<Entry>)) -> Result<(), CheckpointError> {
        let number = self.shards.len();
        for entry in entries {
            let place = Place { shard: number, dtype: entry.dtype, shape: entry.shape, range: entry.range };
            // A header's own names are unique, so the earlier one is in another shard.
            if let Some(earlier) = self.tensors.get(&entry.name) {
                return Err(CheckpointError::Twice {
                    tensor: entry.name,
                    first: self.shards[earlier.shard].path().to_owned(),
                    second: shard.path().to_owned(),
                });
            }
            self.tensors.insert(entry.name, place);
        }
        self.shards.push(shard);
        Ok(())
    }
}

/// Also true for a link that leads nowhere, whose error should name the link and not say that nothing is there.
fn is_there(path: &Path) -> Result<bool, CheckpointError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(CheckpointError::Read { file: path.to_owned(), source }),
    }
}

/// Explains a folder without safetensors by the weights of other formats in it.
fn no_safetensors(folder: &Path) -> CheckpointError {
    let mut others: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let name = name.to_ascii_lowercase();
            [".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml", ".h5", ".msgpack", ".onnx"]
                .iter()
                .any(|end| name.ends_with(end))
                || name.ends_with(".safetensors")
        })
        .collect();
    others.sort();
    let gguf = others.iter().find(|name| name.to_ascii_lowercase().ends_with(".gguf"));
    let (found, fix) = match gguf.or(others.first()) {
        None => (String::new(), "put the weights there as model.safetensors"),
        Some(found) => (
            format!(" (but {found})"),
            if gguf.is_some() {
                "name the .gguf file itself in place of the folder"
            } else if others.iter().any(|name| name.ends_with(".safetensors")) {
                "rename a single file to model.safetensors, or bring the index of the shards"
            } else {
                "convert the weights to safetensors, for example with transformers' save_pretrained"
            },
        ),
    };
    CheckpointError::NoSafetensors { folder: folder.to_owned(), found, fix }
}
