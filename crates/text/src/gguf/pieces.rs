//! `llama`: byte-pair encoding as SentencePiece has it. Pieces have scores, and no merges: SentencePiece joins the two
//! neighbours whose join is the piece with the highest score (<https://arxiv.org/abs/1808.06226>).

use serde_json::{Value, json};

use super::{
    bytes::SPACE_PREFIX,
    merges,
    named::Named,
    parts::Parts,
    vocabulary::{Tokens, Vocabulary},
};
use crate::TokenizerError;

const REMOVE_SPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";

/// What stands for a space in pieces.
pub(super) const SPACE: &str = "▁";

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
    let merges = match merges::of_file(&vocabulary)?.filter(|merges| !merges.is_empty()) {
        Some(merges) => merges,
        None => merges::implied(&vocabulary, gemma)?,
    };
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
