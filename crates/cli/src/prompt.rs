//! The prompt, from wherever it comes.

use std::{
    fs,
    io::{self, IsTerminal, Read},
};

use glass_generate::Llama;

use crate::{args, error::CliError};

/// What was given, read before the model is loaded so that a bad file costs no waiting.
pub enum Given {
    Text(String),
    Ids(Vec<u32>),
}

pub fn read(prompt: &args::Prompt) -> Result<Given, CliError> {
    if let Some(text) = &prompt.text {
        return Ok(Given::Text(text.clone()));
    }
    if let Some(args::Ids(ids)) = &prompt.ids {
        return Ok(Given::Ids(ids.clone()));
    }
    if let Some(path) = &prompt.prompt_file {
        let text = fs::read_to_string(path).map_err(|source| CliError::Read {
            path: path.clone(),
            source,
        })?;
        return Ok(Given::Text(without_newline(text)));
    }
    let mut stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(CliError::Usage(
            "no prompt: give -p TEXT, --ids 1,2,3 or --prompt-file FILE, or pipe a text in".into(),
        ));
    }
    let mut text = String::new();
    stdin
        .read_to_string(&mut text)
        .map_err(|error| CliError::Usage(format!("cannot read standard input: {error}")))?;
    Ok(Given::Text(without_newline(text)))
}

/// The ids of a prompt; an empty one begins with the model's beginning-of-sequence token, as in transformers.
pub fn ids(given: &Given, llama: &Llama) -> Result<Vec<u32>, CliError> {
    let ids = match given {
        Given::Ids(ids) => ids.clone(),
        Given::Text(text) => llama.tokenizer()?.encode_prompt(text)?,
    };
    let bos = llama.generation_config.bos_token_id;
    match (ids.is_empty(), bos.or(llama.config.bos_token_id)) {
        (true, Some(bos)) => Ok(vec![bos]),
        _ => Ok(ids),
    }
}

/// Editors and `echo` end a file with a newline that nobody means as part of the text.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}
