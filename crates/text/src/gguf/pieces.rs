//! `llama`: byte-pair encoding as SentencePiece has it. Pieces have scores, and no merges: SentencePiece joins the two
//! neighbours whose join is the piece with the highest score (<https://arxiv.org/abs/1808.06226>).

use serde_json::{Value, json};

use super::{
    bytes::{SPACE_PREFIX, split_merge},
    named::Named,
    parts::Parts,
    vocabulary::{Kind, MERGES, SCORES, Tokens, Vocabulary, short},
};
use crate::TokenizerError;

const REMOVE_SPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";

/// What stands for a space in pieces.
pub(super) const SPACE: &str = "▁";

/// Far longer than any piece: a text of pieces is split at every character.
const MAX_PIECE_BYTES: usize = 1024;
/// Far more than all merges of any vocabulary.
const MAX_MERGES_BYTES: usize = 256 << 20;

pub(super) fn parts(tokens: Tokens<'_>, architecture: &str) -> Result<Parts, TokenizerError> {
    let keys = tokens.keys;
    // As in transformers, where each of the two has a class of its own.
    let gemma = architecture.starts_with("gemma");
    let phi3 = architecture == "phi3";
    let prefix = keys.bool(SPACE_PREFIX)?.unwrap_or(!gemma);
    let strip = keys.bool(REMOVE_SPACES)?.unwrap_or(false);
    let named = Named::read(&tokens, true)?;
    let post_processor = named.post_processor(&tokens, true)?;
    let mut added = named.added(&tokens, |text| gemma && spaces(text).is_some());
    // Phi-3 drops the whitespace behind its tokens. No key says so: llama.cpp knows it too.
    for (_, token) in added.iter_mut().filter(|_| phi3) {
        token.rstrip = !matches!(token.content.as_str(), "<unk>" | "<s>" | "<|endoftext|>");
    }
    let unknown = named.unknown.and_then(|id| tokens.get(id)).map(|(text, _)| text.to_owned());
    let vocabulary = Vocabulary::new(tokens, |text| spaces(text).filter(|_| gemma))?;
    let merges = merges(&vocabulary, gemma)?;
    let (normalizer, pre_tokenizer) = spacing(prefix, strip, gemma, phi3);
    Ok(Parts {
        vocab: vocabulary.ids,
        merges,
        unknown,
        pieces: true,
        ignore_merges: false,
        added,
        normalizer,
        pre_tokenizer,
        post_processor,
        decoder: decoder(prefix),
        warnings: Vec::new(),
    })
}

/// llama.cpp writes Gemma's tokens of spaces as spaces, of which two and more are joined by merges like all pieces.
fn spaces(text: &str) -> Option<String> {
    (text.len() > 1 && text.bytes().all(|byte| byte == b' ')).then(|| SPACE.repeat(text.len()))
}

/// The normalizer and the pre-tokenizer: how spaces become [`SPACE`], and where one is put in front.
fn spacing(prefix: bool, strip: bool, gemma: bool, phi3: bool) -> (Value, Value) {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    let prepend = json!({"type": "Prepend", "prepend": SPACE});
    // What is dropped in front of a text hides from `Metaspace` that the text begins there.
    let (mut normalizers, pre_tokenizer) = if gemma || phi3 || strip {
        let split =
            json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
        let parts = if prefix { vec![prepend, replace] } else { vec![replace] };
        (parts, if gemma { split } else { Value::Null })
    } else {
        let scheme = if prefix { "first" } else { "never" };
        let metaspace = json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": false});
        (Vec::new(), metaspace)
    };
    if strip {
        let ends = json!({"type": "Strip", "strip_left": true, "strip_right": true});
        let runs = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
        normalizers.splice(0..0, [ends, runs]);
    }
    let normalizer = match normalizers.len() {
        0 => Value::Null,
        1 => normalizers.remove(0),
        _ => json!({"type": "Sequence", "normalizers": normalizers}),
    };
    (normalizer, pre_tokenizer)
}

fn decoder(prefix: bool) -> Value {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

/// The merges of the file, if it has some, or else those that its pieces imply.
fn merges(vocabulary: &Vocabulary<'_>, gemma: bool) -> Result<Vec<(String, String)>, TokenizerError> {
    let keys = vocabulary.tokens.keys;
    if let Some(merges) = keys.strings(MERGES)?.filter(|merges| !merges.is_empty()) {
        let mut join = String::new();
        let merges = merges.iter().enumerate().map(|(rank, merge)| {
            let pair = split_merge(merge, &vocabulary.ids, &mut join);
            let pair = pair.map(|(left, right)| (left.to_owned(), right.to_owned()));
            pair.ok_or_else(|| {
                keys.fault(MERGES, format!("merge {rank}, {}, is no pair of tokens that make a token", short(merge)))
            })
        });
        return merges.collect();
    }
    let scores = vocabulary.tokens.scores()?.ok_or_else(|| keys.missing(SCORES))?;
    let mut order: Vec<u32> = (0..vocabulary.texts.len() as u32).collect();
    // Gemma's scores do not follow the order of its merges; its pieces do.
    if !gemma {
        order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    }
    implied_merges(vocabulary, &order)
}

/// Every pair of tokens that make a token, by the place of the made one in `order`; pairs that make the same token by
/// their ids, as in the `tokenizer.json` of converted SentencePiece models.
fn implied_merges(vocabulary: &Vocabulary<'_>, order: &[u32]) -> Result<Vec<(String, String)>, TokenizerError> {
    let fault = |reason: String| Err(vocabulary.tokens.keys.fault(super::vocabulary::TOKENS, reason));
    let mut merges = Vec::with_capacity(2 * order.len());
    let mut bytes = 0;
    let mut pairs = Vec::new();
    for &id in order {
        let Some(text) = vocabulary.text(id) else {
            continue;
        };
        if text.len() > MAX_PIECE_BYTES {
            // Only ordinary text is merged.
            if vocabulary.tokens.get(id).is_some_and(|(_, kind)| kind == Kind::Normal) {
                return fault(format!("token {id} has {} bytes, and no piece has as many", text.len()));
            }
            continue;
        }
        pairs.clear();
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let Some(&left_id) = vocabulary.ids.get(left)
                && let Some(&right_id) = vocabulary.ids.get(right)
            {
                pairs.push((left_id, right_id, left, right));
            }
        }
        pairs.sort_unstable();
        bytes += pairs.len() * text.len();
        if bytes > MAX_MERGES_BYTES {
            return fault("more pairs of tokens make a token than in any vocabulary".to_owned());
        }
        merges.extend(pairs.iter().map(|&(.., left, right)| (left.to_owned(), right.to_owned())));
    }
    Ok(merges)
}
