//! The model that is built into the program, so that it runs without any file.

use std::{env, fs};

use glass_generate::ModelBytes;
use glass_text::{ChatTemplate, ChatTemplateError, Tokenizer};
use tempfile::TempDir;

use crate::error::CliError;

/// Its name, here and in `weights/`.
pub const NAME: &str = "shakespeare-window";

/// What a reader of its text has to know.
pub const NATURE: &str = "trained by this project on Shakespeare, character by character";

macro_rules! file {
    ($include:ident, $name:literal) => {
        $include!(concat!("../../../weights/shakespeare-window/", $name))
    };
}

static CONFIG: &str = file!(include_str, "config.json");
static GENERATION_CONFIG: &[u8] = file!(include_bytes, "generation_config.json");
static TOKENIZER: &[u8] = file!(include_bytes, "tokenizer.json");
static WEIGHTS: &[u8] = file!(include_bytes, "model.safetensors");

/// Turns a conversation into a play.
const CHAT_TEMPLATE: &str = include_str!("../../../docs/play.jinja");

/// What ends a speech of a play.
pub const END_OF_SPEECH: &str = "\n\n";

/// How one talks with the model: it has learned plays and nothing else.
pub const CHAT: &str = "it knows plays and nothing else: you are JULIET and it is ROMEO";

/// # Errors
/// None, as the tests know.
pub fn chat_template() -> Result<ChatTemplate, ChatTemplateError> {
    ChatTemplate::from_text(CHAT_TEMPLATE, "the built-in chat template", &[])
}

/// The model in memory.
pub fn bytes() -> ModelBytes<'static> {
    ModelBytes {
        name: NAME,
        config: CONFIG,
        generation_config: Some(GENERATION_CONFIG),
        tokenizer: Some(TOKENIZER),
        weights: WEIGHTS.into(),
    }
}

/// Its tokenizer alone.
pub fn tokenizer() -> Result<Tokenizer, CliError> {
    Ok(Tokenizer::from_json(TOKENIZER, &format!("{NAME}/tokenizer.json"))?)
}

/// Writes the model to a temporary folder, which is removed on drop: `glass bench` loads it in processes of its own.
pub fn unpack() -> Result<TempDir, CliError> {
    let folder = tempfile::Builder::new().prefix("glass-").tempdir().map_err(CliError::writing(&env::temp_dir()))?;
    for (name, bytes) in [
        ("config.json", CONFIG.as_bytes()),
        ("generation_config.json", GENERATION_CONFIG),
        ("model.safetensors", WEIGHTS),
        ("tokenizer.json", TOKENIZER),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).map_err(CliError::writing(&path))?;
    }
    Ok(folder)
}
