//! `gpt2`: byte-level byte-pair encoding. Tokens and merges stand in the file, and a name for how text is cut into words.

use serde_json::{Value, json};
use tokenizers::models::bpe::Vocab;

use super::{
    named::Named,
    parts::Parts,
    pre_tokenizer::PreTokenizer,
    vocabulary::{Keys, MERGES, Tokens, Vocabulary, short},
};
use crate::TokenizerError;

pub(super) const PRE: &str = "tokenizer.ggml.pre";
pub(super) const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";

/// Far longer than any pair of tokens; every space of a merge is tried.
const MAX_MERGE_BYTES: usize = 4096;

pub(super) fn parts(tokens: Tokens<'_>) -> Result<Parts, TokenizerError> {
    let keys = tokens.keys;
    let mut warnings = Vec::new();
    let pre = pre_tokenizer(keys, &mut warnings)?;
    let prefix = keys.bool(SPACE_PREFIX)?.unwrap_or(false);
    let named = Named::read(&tokens, false)?;
    let post_processor = named.post_processor(&tokens, pre.bos)?;
    let added = named.added(&tokens, |_| false);
    let vocabulary = Vocabulary::new(tokens, |_| None)?;
    let merges = keys.strings(MERGES)?.ok_or_else(|| keys.missing(MERGES))?;
    let mut join = String::new();
    let merges = merges.iter().enumerate().map(|(rank, merge)| {
        let pair = split_merge(merge, &vocabulary.ids, &mut join).ok_or_else(|| {
            keys.fault(MERGES, format!("merge {rank}, {}, is no pair of tokens that make a token", short(merge)))
        });
        pair.map(|(left, right)| (left.to_owned(), right.to_owned()))
    });
    Ok(Parts {
        merges: merges.collect::<Result<_, _>>()?,
        vocab: vocabulary.ids,
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

/// The two tokens of a merge: they are written with a space between them, and may hold spaces.
pub(super) fn split_merge<'t>(merge: &'t str, ids: &Vocab, join: &mut String) -> Option<(&'t str, &'t str)> {
    if merge.len() > MAX_MERGE_BYTES {
        return None;
    }
    let pairs = merge.match_indices(' ').map(|(at, _)| (&merge[..at], &merge[at + 1..]));
    pairs.into_iter().find(|(left, right)| {
        ids.contains_key(*left) && ids.contains_key(*right) && {
            join.clear();
            join.push_str(left);
            join.push_str(right);
            ids.contains_key(join.as_str())
        }
    })
}
