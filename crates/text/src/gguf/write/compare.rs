//! Whether two tokenizers give the same ids and texts.

use serde_json::Value;
use tokenizers::AddedToken;

use super::{super::pre_tokenizer::parse, json};
use crate::{Tokenizer, one_line};

/// The parts in which two tokenizers may differ; ids from `vocab_size` on do not count. What is not the same word for word
/// counts as different, but for what cannot matter.
pub(super) fn differences(a: &Tokenizer, b: &Tokenizer, vocab_size: usize) -> Result<Vec<&'static str>, String> {
    let models = (json(&a.inner.get_model())?, json(&b.inner.get_model())?);
    let of_models = |fields: &[&str]| fields.iter().all(|field| models.0[field] == models.1[field]);
    let normalizers = (json(&a.inner.get_normalizer())?, json(&b.inner.get_normalizer())?);
    let pre_tokenizers = (json(&a.inner.get_pre_tokenizer())?, json(&b.inner.get_pre_tokenizer())?);
    let decoders = (json(&a.inner.get_decoder())?, json(&b.inner.get_decoder())?);
    let around = |tokenizer: &Tokenizer| tokenizer.ids_around().map_err(|error| one_line(&error));
    // Where every byte has a token, nothing is unknown.
    let complete = a.decodes_bytes() || (0..=u8::MAX).all(|byte| a.token_id(&format!("<0x{byte:02X}>")).is_some());
    let parts = [
        ("vocabulary", vocabulary(a, vocab_size) == vocabulary(b, vocab_size)),
        ("merges", of_models(&["merges", "ignore_merges"])),
        ("unknown characters", of_models(&["byte_fallback"]) && (complete || of_models(&["unk_token", "fuse_unk"]))),
        ("normalizer", normalizers.0 == normalizers.1),
        ("pre-tokenizer", same_words(&pre_tokenizers.0, &pre_tokenizers.1)),
        ("decoder", decoders.0 == decoders.1 || a.decodes_bytes() && b.decodes_bytes()),
        ("tokens around a text", around(a)? == around(b)?),
        ("added tokens", added(a, vocab_size, &normalizers.0) == added(b, vocab_size, &normalizers.1)),
    ];
    Ok(parts.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect())
}

fn vocabulary(tokenizer: &Tokenizer, vocab_size: usize) -> Vec<(u32, String)> {
    let vocab = tokenizer.inner.get_vocab(true).into_iter();
    let mut tokens: Vec<(u32, String)> =
        vocab.map(|(text, id)| (id, text)).filter(|&(id, _)| (id as usize) < vocab_size).collect();
    tokens.sort_unstable();
    tokens
}

/// Pre-tokenizers of bytes are written in several ways.
fn same_words(a: &Value, b: &Value) -> bool {
    let prefix = |part: &Value| part.to_string().contains("\"add_prefix_space\":true");
    a == b || parse(a).is_some_and(|words| parse(b) == Some(words) && prefix(a) == prefix(b))
}

fn added(tokenizer: &Tokenizer, vocab_size: usize, normalizer: &Value) -> Vec<(u32, AddedToken)> {
    let tokens = tokenizer.inner.get_added_tokens_decoder().into_iter();
    let mut tokens: Vec<(u32, AddedToken)> = tokens.filter(|&(id, _)| (id as usize) < vocab_size).collect();
    tokens.sort_unstable_by_key(|&(id, _)| id);
    for (_, token) in &mut tokens {
        // It is looked for in the normalized text, which is the text.
        token.normalized &= !normalizer.is_null();
    }
    tokens
}
