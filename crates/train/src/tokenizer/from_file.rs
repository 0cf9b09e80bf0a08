//! Somebody else's tokenizer, taken over as it is.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use glass_text::{Tokenizer, TokenizerError};
use serde_json::{Map, Value};

use super::{SpecialIds, TokenizerChoiceError, TrainedTokenizer, library, plain_config};

/// Reads `path` (in a folder: its `tokenizer.json`) and the `tokenizer_config.json` beside it. Both are carried over
/// byte for byte; where there is no config, the result gets the plain one.
pub(super) fn read(path: &Path) -> Result<TrainedTokenizer, TokenizerChoiceError> {
    let path = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        path.to_owned()
    };
    let name = path.display().to_string();
    let json = match read_file(&path)? {
        Some(json) => json,
        None => return Err(TokenizerChoiceError::NoSuchFile { path: name }),
    };
    let tokenizer = Tokenizer::from_json(&json, &name)?;

    let config_path = path.with_file_name("tokenizer_config.json");
    let config_name = config_path.display().to_string();
    let mut warnings = Vec::new();
    let (config_json, special_ids) = match read_file(&config_path)? {
        Some(config) => {
            let ids = special_ids(&config, &config_name, &tokenizer, &mut warnings)?;
            (config, ids)
        }
        None => (plain_config(), SpecialIds::default()),
    };
    Ok(TrainedTokenizer {
        vocab_size: rows(&json)?,
        tokenizer,
        json,
        config_json,
        special_ids,
        in_pieces: false,
        warnings,
    })
}

/// `None` when there is no such file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    let contents = fs::metadata(path).and_then(|meta| {
        // A pipe might never end.
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        fs::read(path)
    });
    match contents {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TokenizerError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        }),
    }
}

/// The largest id plus one. Ids may have gaps, so this can be more than the number of tokens.
fn rows(json: &[u8]) -> Result<usize, TokenizerChoiceError> {
    let vocab = tokenizers::Tokenizer::from_bytes(json)
        .map_err(library)?
        .get_vocab(true);
    Ok(vocab.into_values().max().map_or(0, |id| id as usize + 1))
}

fn special_ids(
    config: &[u8],
    name: &str,
    tokenizer: &Tokenizer,
    warnings: &mut Vec<String>,
) -> Result<SpecialIds, TokenizerError> {
    let config: Map<String, Value> =
        serde_json::from_slice(config).map_err(|error| TokenizerError::BrokenConfig {
            path: name.to_owned(),
            reason: error.to_string(),
        })?;
    let mut id = |field: &str| {
        let token = match config.get(field)? {
            Value::String(token) => token,
            // An AddedToken, written out.
            Value::Object(token) => token.get("content")?.as_str()?,
            _ => return None,
        };
        let id = tokenizer.token_id(token);
        if id.is_none() {
            warnings.push(format!(
                "{name}: {field} = {token:?} is not a token of the tokenizer.json beside it; the model gets no id for it"
            ));
        }
        id
    };
    Ok(SpecialIds {
        bos: id("bos_token"),
        eos: id("eos_token"),
        unk: id("unk_token"),
    })
}
