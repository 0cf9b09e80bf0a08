//! The model that is built into the program, so that it runs with nothing else at hand.

use std::{fs, io, path::PathBuf};

use tempfile::TempDir;

use crate::error::CliError;

/// What it is called, here and in `weights/`.
pub const NAME: &str = "random-tiny";

/// What a reader of its output has to know.
pub const NATURE: &str = "randomly initialised and never trained, so that it writes noise";

macro_rules! files {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../weights/random-tiny/", $name)).as_slice())),*]
    };
}

const FILES: [(&str, &[u8]); 4] = files!(
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json"
);

/// Writes the model to a folder of its own, which goes when the value is dropped: from there on it is a model like any
/// other.
pub fn unpack() -> Result<TempDir, CliError> {
    let failed = |path: PathBuf| move |source: io::Error| CliError::Write { path, source };
    let folder = tempfile::Builder::new()
        .prefix("glass-")
        .tempdir()
        .map_err(failed(std::env::temp_dir()))?;
    for (name, bytes) in FILES {
        let path = folder.path().join(name);
        fs::write(&path, bytes).map_err(failed(path.clone()))?;
    }
    Ok(folder)
}
