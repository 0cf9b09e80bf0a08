//! A model folder written again: in another float type, in files of another size.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use glass_backend::{DeviceError, Dtype, WeightError};
use glass_config::{ConfigError, LlamaConfig, Stored, config_text};
use thiserror::Error;

use crate::{
    CheckpointError, Converted, Existing, Files, SaveError, SaveProgress, Saving, ShardSize, TensorSource, WEIGHTS,
    WEIGHTS_INDEX, Written, own_head,
    saving::{is_weights, remove_files},
};

/// The small files beside a config and weights: copied byte for byte if they are there.
pub const COMPANIONS: [&str; 9] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
];

/// How to write a folder again.
pub struct ConvertOptions<'a> {
    /// Float type of all tensors; `None`: each keeps its own, bit for bit.
    pub dtype: Option<Dtype>,
    pub max_shard_size: ShardSize,
    pub existing: Existing,
    pub progress: SaveProgress<'a>,
}

/// Why a folder was not written again: one line each.
#[derive(Debug, Error)]
pub enum ConvertError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Weight(#[from] WeightError),
}

/// What became of a folder.
#[derive(Debug)]
pub struct Conversion {
    pub written: Written,
    /// Files of the source that the new folder does not have, weights apart, sorted.
    pub left_out: Vec<String>,
    /// One line each.
    pub warnings: Vec<String>,
}

/// Writes the model in `folder` to `target`: weights, config, generation config, tokenizer, chat template. Nothing is left
/// behind if it does not succeed. `target` is new or empty, or its model is replaced, as [`Existing`] says.
///
/// The tensors keep their names, whatever the config says of them. Of `config.json` only the type of the weights changes
/// if that is converted, and the tie of a head that is not tied.
///
/// # Errors
/// The source cannot be read, the target cannot be written, or a tensor cannot be converted.
pub fn convert(folder: &Path, target: &Path, options: ConvertOptions<'_>) -> Result<Conversion, ConvertError> {
    let files = Files::open(folder)?;
    let stored = options.dtype.map_or(Stored::Same, |dtype| {
        Stored::As(match dtype {
            Dtype::F32 => glass_config::Dtype::Float32,
            Dtype::F16 => glass_config::Dtype::Float16,
            Dtype::BF16 => glass_config::Dtype::BFloat16,
        })
    });
    let file = folder.join("config.json");
    // The config of a family that is not built here says nothing that could be checked, and stays as it is.
    let own_head = LlamaConfig::from_file(&file, &[]).ok().and_then(|mut config| own_head(&files, &mut config));
    let config = config_text(&file, stored, own_head.is_some())?;
    let mut tensors = Converted::new(&files, options.dtype)?;
    let written = (options.max_shard_size, options.existing, options.progress);
    let mut conversion = rewrite(folder, target, &files, &config, &mut tensors, written)?;
    conversion.warnings.extend(own_head);
    conversion.warnings.extend(tensors.warnings());
    Ok(conversion)
}

/// Writes a folder again with this config and these weights.
pub(crate) fn rewrite(
    folder: &Path,
    target: &Path,
    files: &Files,
    config: &str,
    tensors: &mut dyn TensorSource,
    (max_shard_size, existing, progress): (ShardSize, Existing, SaveProgress<'_>),
) -> Result<Conversion, ConvertError> {
    let left_out = left_out(folder, files);
    refuse_own_folder(folder, target)?;
    let mut saving = Saving::begin(target, existing)?;
    saving.write("config.json", config.as_bytes())?;
    let mut copied = Vec::new();
    for name in COMPANIONS {
        let file = folder.join(name);
        match fs::read(&file) {
            Ok(bytes) => {
                saving.write(name, &bytes)?;
                copied.push(name);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(SaveError::Read { file, source }.into()),
        }
    }
    let written = saving.write_tensors(tensors, max_shard_size, progress)?;
    saving.finish()?;
    remove_stale(target, &copied)?;
    Ok(Conversion { written, left_out, warnings: files.warnings().to_vec() })
}

/// Removes what a model that was there had beside its weights and this one has not, which has `written`: it would be read as a
/// part of this one.
///
/// # Errors
/// A file cannot be removed.
pub fn remove_stale(folder: &Path, written: &[&str]) -> Result<(), SaveError> {
    remove_files(folder, |name| COMPANIONS.contains(&name.as_str()) && !written.contains(&name.as_str()))
}

/// Removes the files of a model from a folder, and no others.
///
/// # Errors
/// A file cannot be removed.
pub fn remove_model(folder: &Path) -> Result<(), SaveError> {
    remove_files(folder, |name| name == "config.json" || is_weights(name) || COMPANIONS.contains(&name.as_str()))
}

/// Refuses a target that cannot be written to, before the model is fetched: `model` may be a folder or a hub name.
///
/// # Errors
/// As [`convert`], as far as the target is concerned.
pub fn check_target(model: &Path, target: &Path, existing: Existing) -> Result<(), SaveError> {
    refuse_own_folder(model, target)?;
    Saving::begin(target, existing).map(drop)
}

fn refuse_own_folder(folder: &Path, target: &Path) -> Result<(), SaveError> {
    match (folder.canonicalize(), target.canonicalize()) {
        (Ok(folder), Ok(other)) if folder == other => Err(SaveError::IsSource(target.to_owned())),
        _ => Ok(()),
    }
}

/// Hidden files belong to the folder's owner, git for instance, and not to the model.
fn left_out(folder: &Path, files: &Files) -> Vec<String> {
    let weights: BTreeSet<&OsStr> = files.names().filter_map(|name| files.get(name)?.file.file_name()).collect();
    let copied = |name: &str| ["config.json", WEIGHTS, WEIGHTS_INDEX].contains(&name) || COMPANIONS.contains(&name);
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !weights.contains(entry.file_name().as_os_str()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !copied(name))
        .collect();
    names.sort();
    names
}
