//! An existing tokenizer, unchanged.

use std::path::Path;

use glass_text::{Tokenizer, TokenizerError, one_line, read_small_file};
use serde_json::Value;

use super::{SpecialIds, TokenizerChoiceError, TrainedTokenizer, library_error, plain_config};

/// Reads `path` (in a folder: its `tokenizer.json`) and the `tokenizer_config.json` beside it. The result has both byte for
/// byte, or the plain config where there is none.
pub(super) fn read(path: &Path) -> Result<TrainedTokenizer, TokenizerChoiceError> {
    let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
    let name = path.display().to_string();
    let json = match read_file(&path)? {
        Some(json) => json,
        None => return Err(TokenizerChoiceError::NoSuchFile { path: name }),
    };
    let tokenizer = Tokenizer::from_json(&json, &name)?;

    let config_path = path.with_file_name("tokenizer_config.json");
    let config_name = config_path.display().to_string();
    let mut warnings = Vec::new();
    let (config_json, mut special_ids) = match read_file(&config_path)? {
        Some(config) => {
            let ids = special_ids(&config, &config_name, &tokenizer, &mut warnings)?;
            (config, ids)
        }
        None => (plain_config(), SpecialIds::default()),
    };
    special_ids.unk = special_ids.unk.or_else(|| unk(&json, &tokenizer));
    Ok(TrainedTokenizer {
        vocab_size: vocab_size(&json)?,
        tokenizer,
        json,
        config_json,
        special_ids,
        in_chunks: false,
        warnings,
    })
}

/// `None` when there is no such file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, TokenizerError> {
    read_small_file(path)
        .map_err(|error| TokenizerError::Unreadable { path: path.display().to_string(), reason: one_line(&error) })
}

/// The largest id plus one. Ids may have gaps, so this can be more than the number of tokens.
fn vocab_size(json: &[u8]) -> Result<usize, TokenizerChoiceError> {
    let tokenizer = tokenizers::Tokenizer::from_bytes(json).map_err(library_error)?;
    let ids = tokenizer.get_vocab(true).into_values();
    Ok(ids.max().map_or(0, |id| id as usize + 1))
}

/// The token for text that no other spells, as the vocabulary itself names it.
fn unk(json: &[u8], tokenizer: &Tokenizer) -> Option<u32> {
    let json: Value = serde_json::from_slice(json).ok()?;
    let model = &json["model"];
    let by_id = || u32::try_from(model["unk_id"].as_u64()?).ok();
    model["unk_token"].as_str().and_then(|token| tokenizer.token_id(token)).or_else(by_id)
}

fn special_ids(
    config: &[u8],
    name: &str,
    tokenizer: &Tokenizer,
    warnings: &mut Vec<String>,
) -> Result<SpecialIds, TokenizerError> {
    let config = glass_json::parse_object(config)
        .map_err(|error| TokenizerError::BrokenConfig { path: name.to_owned(), reason: error.to_string() })?;
    let mut id = |field: &str| {
        let token = match config.get(field)? {
            Value::String(token) => token,
            // An AddedToken as an object.
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
    Ok(SpecialIds { bos: id("bos_token"), eos: id("eos_token"), unk: id("unk_token") })
}
