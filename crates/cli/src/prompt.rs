//! The prompt: from the command line, a file or standard input.

use std::{
    fs,
    io::{self, IsTerminal, Read},
};

use glass_generate::Llama;
use glass_text::{Tokenizer, Unknown};

use crate::{args, error::CliError, say::warn};

/// A prompt, read before the model is loaded so that a bad file costs no waiting.
pub enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

pub fn read(prompt: &args::Prompt) -> Result<Prompt, CliError> {
    if let Some(text) = &prompt.text {
        return Ok(Prompt::Text(text.clone()));
    }
    if let Some(args::Ids(ids)) = &prompt.ids {
        return Ok(Prompt::Ids(ids.clone()));
    }
    if let Some(path) = &prompt.prompt_file {
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            warn([format!("{} is read as one text: `glass batch` takes its lines as prompts", path.display())]);
        }
        let text = fs::read_to_string(path).map_err(CliError::reading(path))?;
        return Ok(Prompt::Text(without_newline(text)));
    }
    let mut stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(CliError::Usage(
            "no prompt: give -p TEXT, --ids 1,2,3 or --prompt-file FILE, or pipe a text in".into(),
        ));
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).map_err(|error| CliError::Usage(format!("cannot read standard input: {error}")))?;
    Ok(Prompt::Text(without_newline(text)))
}

impl Prompt {
    /// Its text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Ids(_) => None,
        }
    }

    /// Its ids; an empty prompt begins with the model's beginning-of-sequence token, as in transformers.
    pub fn ids(&self, llama: &Llama) -> Result<Vec<u32>, CliError> {
        let ids = match self {
            Self::Ids(ids) => ids.clone(),
            Self::Text(text) => llama.tokenizer()?.encode_prompt(text)?,
        };
        if ids.is_empty() {
            llama.generation_config.check(&["bos_token_id"])?;
        }
        let bos = llama.generation_config.bos_token_id;
        match bos.or(llama.config.bos_token_id) {
            Some(bos) if ids.is_empty() => Ok(vec![bos]),
            _ => Ok(ids),
        }
    }
}

/// Warns, in one line, of the characters of these texts that the vocabulary does not have.
///
/// # Errors
/// The tokenizer refuses a text.
pub fn warn_unknown<'t>(
    tokenizer: Option<&Tokenizer>,
    texts: impl IntoIterator<Item = &'t str>,
) -> Result<(), CliError> {
    let mut unknown = Unknown::default();
    for text in texts {
        if let Some(tokenizer) = tokenizer {
            unknown.extend(tokenizer.unknown_in(text)?);
        }
    }
    if unknown.count > 0 {
        warn([unknown.to_string()]);
    }
    Ok(())
}

/// Editors and `echo` end a file with a newline that is not meant as part of the text.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}
