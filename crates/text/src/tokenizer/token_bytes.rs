//! The bytes that a token adds to a text, whatever kind of tokenizer it is.

use serde_json::Value;

use super::{Tokenizer, TokenizerError};

impl Tokenizer {
    /// Of every id below `vocab_size` the bytes that it adds behind other text. Empty where an id must not stand inside a
    /// text: special and added tokens, the unknown token, and ids that only the model has.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn token_bytes(&self, vocab_size: usize) -> Result<Vec<Vec<u8>>, TokenizerError> {
        let mut bytes = vec![Vec::new(); vocab_size];
        let byte_level = self
            .decoder()
            .is_some_and(|decoder| has_decoder(&decoder, "ByteLevel"));
        let ids = self.ordinary_ids();
        let before = self.any_text(&ids)?;
        for id in ids {
            let (Some(place), Some(token)) = (bytes.get_mut(id as usize), self.token(id)) else {
                continue;
            };
            *place = match byte_level {
                true => byte_level_bytes(&token),
                false => self.behind(&before, id)?,
            };
        }
        for byte in 0..=u8::MAX {
            let token = format!("<0x{byte:02X}>");
            let id = self
                .fallback_byte(&token)
                .and_then(|_| self.token_id(&token));
            if let Some(place) = id.and_then(|id| bytes.get_mut(id as usize)) {
                *place = vec![byte];
            }
        }
        Ok(bytes)
    }

    /// The first id that is text also at the beginning, where some decoders drop a space; and that text.
    fn any_text(&self, ids: &[u32]) -> Result<Option<(u32, String)>, TokenizerError> {
        for &id in ids {
            let text = self.decode(&[id], true)?;
            if !text.is_empty() {
                return Ok(Some((id, text)));
            }
        }
        Ok(None)
    }

    /// What `id` adds to a text that ends in `before`; nothing, if it would change that text.
    fn behind(&self, before: &Option<(u32, String)>, id: u32) -> Result<Vec<u8>, TokenizerError> {
        let Some((first, text)) = before else {
            return Ok(Vec::new());
        };
        let both = self.decode(&[*first, id], true)?;
        let added = both.strip_prefix(text.as_str()).unwrap_or_default();
        Ok(added.as_bytes().to_vec())
    }
}

/// Whether a decoder is of this type, or has one in it.
pub(super) fn has_decoder(decoder: &Value, name: &str) -> bool {
    match decoder {
        Value::Object(fields) => {
            fields.get("type").is_some_and(|kind| kind == name)
                || fields.values().any(|field| has_decoder(field, name))
        }
        Value::Array(decoders) => decoders.iter().any(|decoder| has_decoder(decoder, name)),
        _ => false,
    }
}

/// The bytes of a token of a byte-level BPE, which has a printable character for each (GPT-2, `bytes_to_unicode`). A token
/// with another character in it stands for itself.
fn byte_level_bytes(token: &str) -> Vec<u8> {
    token
        .chars()
        .map(byte_of)
        .collect::<Option<_>>()
        .unwrap_or_else(|| token.as_bytes().to_vec())
}

/// Printable Latin-1 characters are their own bytes; the others lie from U+0100 on, in the order of the bytes.
fn byte_of(character: char) -> Option<u8> {
    let itself = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u8::try_from(u32::from(character)) {
        Ok(byte) => Some(byte).filter(itself),
        Err(_) => {
            let place = (u32::from(character) - 0x100) as usize;
            (0..=u8::MAX).filter(|byte| !itself(byte)).nth(place)
        }
    }
}
