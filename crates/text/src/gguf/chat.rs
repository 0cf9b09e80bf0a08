//! The chat templates of a GGUF file: `tokenizer.chat_template`, and others with names behind a dot.

use std::path::Path;

use glass_gguf::{Metadata, Value};

use super::named_tokens;
use crate::{
    ChatTemplate, ChatTemplateError, TokenizerError,
    chat::{DEFAULT, Source, read_templates},
    one_line,
};

const TEMPLATE: &str = "tokenizer.chat_template";
const NAMES: &str = "tokenizer.chat_templates";

impl ChatTemplate {
    /// The template of a GGUF file.
    ///
    /// # Errors
    /// [`ChatTemplateError::MissingKey`] if there is none; a key has the wrong type, or a template does not parse.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self, ChatTemplateError> {
        let missing = ChatTemplateError::MissingKey { path: origin(metadata) };
        Self::choose(sources(metadata)?, missing, special_tokens(metadata)?)
    }

    /// A template from a file, with the special tokens of a GGUF file.
    ///
    /// # Errors
    /// A file is unreadable or broken.
    pub fn from_file_and_gguf(file: &Path, metadata: &Metadata) -> Result<Self, ChatTemplateError> {
        Self::of_file(file, special_tokens(metadata)?)
    }
}

/// All templates, with their names.
pub(super) fn sources(metadata: &Metadata) -> Result<Vec<Source>, ChatTemplateError> {
    let named = |(key, _): (&str, &Value)| {
        let name = match key.strip_prefix(TEMPLATE)? {
            "" => DEFAULT.to_owned(),
            rest => rest.strip_prefix('.')?.to_owned(),
        };
        Some((name, key.to_owned()))
    };
    let named: Vec<(String, String)> = metadata.iter().filter_map(named).collect();
    let read = |(name, key): (String, String)| {
        let text = metadata.string(&key).map_err(|error| ChatTemplateError::Key(one_line(&error)))?;
        Ok(Source::new(&name, format!("{}: {key}", origin(metadata)), text.unwrap_or_default()))
    };
    named.into_iter().map(read).collect()
}

/// Writes the chat templates of a folder.
///
/// # Errors
/// A file is unreadable or broken.
pub fn write_chat_templates(folder: &Path, metadata: &mut Metadata) -> Result<(), ChatTemplateError> {
    let sources = read_templates(folder)?;
    let others: Vec<String> =
        sources.iter().map(Source::name).filter(|name| *name != DEFAULT).map(str::to_owned).collect();
    if !others.is_empty() {
        metadata.insert(NAMES, others);
    }
    for source in sources {
        let key = match source.name() {
            DEFAULT => TEMPLATE.to_owned(),
            name => format!("{TEMPLATE}.{name}"),
        };
        metadata.insert(key, source.into_text());
    }
    Ok(())
}

fn special_tokens(metadata: &Metadata) -> Result<Vec<(String, String)>, ChatTemplateError> {
    named_tokens(metadata).map_err(|error: TokenizerError| ChatTemplateError::Key(one_line(&error)))
}

fn origin(metadata: &Metadata) -> String {
    metadata.origin().display().to_string()
}
