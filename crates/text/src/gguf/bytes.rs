//! `gpt2`: byte-level byte-pair encoding. Tokens and merges stand in the file, and a name for how text is cut into words.

use serde_json::{Value, json};

use super::{
    merges::{self, MERGES},
    named::Named,
    parts::Parts,
    pre_tokenizer::PreTokenizer,
    vocabulary::{Keys, Tokens, Vocabulary},
};
use crate::TokenizerError;

pub(super) const PRE: &str = "tokenizer.ggml.pre";
pub(super) const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";

pub(super) fn parts(tokens: Tokens<'_>) -> Result<Parts, TokenizerError> {
    let keys = tokens.keys;
    let mut warnings = Vec::new();
    let pre = pre_tokenizer(keys, &mut warnings)?;
    let prefix = keys.bool(SPACE_PREFIX)?.unwrap_or(false);
    let named = Named::read(&tokens, false)?;
    let post_processor = named.post_processor(&tokens, pre.bos)?;
    let added = named.added(&tokens, |_| false);
    let vocabulary = Vocabulary::new(tokens, |_| None)?;
    let merges = merges::of_file(&vocabulary)?.ok_or_else(|| keys.missing(MERGES))?;
    Ok(Parts {
        vocab: vocabulary.ids,
        merges,
        unknown: None,
        pieces: false,
        ignore_merges: pre.ignore_merges,
        added,
        normalizer: if pre.nfc { json!({"type": "NFC"}) } else { Value::Null },
        pre_tokenizer: pre.json(prefix),
        post_processor,
        decoder: json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        warnings,
    })
}

fn pre_tokenizer(keys: Keys<'_>, warnings: &mut Vec<String>) -> Result<&'static PreTokenizer, TokenizerError> {
    let name = keys.string(PRE)?.filter(|name| !name.is_empty());
    if name.is_none_or(|name| name == "default") {
        warnings.push(format!(
            "{}: {PRE} does not say how text is cut into words: it is cut as for GPT-2, which may not be how the model \
             learned it; convert the model again",
            keys.origin()
        ));
    }
    let name = name.unwrap_or("default");
    PreTokenizer::find(name).ok_or_else(|| TokenizerError::UnknownKind {
        path: keys.origin(),
        key: PRE,
        found: name.chars().take(60).collect(),
        reason: format!("how it cuts text is not known here; known are {}", PreTokenizer::known()),
    })
}
