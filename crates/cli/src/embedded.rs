//! The model that is built into the program, so that it runs without any file.

use std::{env, fs};

use tempfile::TempDir;

use crate::error::CliError;

/// Its name, here and in `weights/`.
pub const NAME: &str = "shakespeare-window";

/// What a reader of its text has to know.
pub const NATURE: &str = "trained by this project on Shakespeare, character by character";

macro_rules! files {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../weights/shakespeare-window/", $name)).as_slice())),*]
    };
}

const FILES: [(&str, &[u8]); 5] = files!(
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json"
);

/// Writes the model to a temporary folder, which is removed on drop, because models are loaded from folders.
pub fn unpack() -> Result<TempDir, CliError> {
    let folder = tempfile::Builder::new()
        .prefix("glass-")
        .tempdir()
        .map_err(CliError::writing(&env::temp_dir()))?;
    for (name, bytes) in FILES {
        let path = folder.path().join(name);
        fs::write(&path, bytes).map_err(CliError::writing(&path))?;
    }
    Ok(folder)
}
