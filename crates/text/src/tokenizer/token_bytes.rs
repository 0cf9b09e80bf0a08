//! The bytes that a token adds to a text, for any kind of tokenizer.

use serde_json::Value;

use super::{Tokenizer, TokenizerError};

impl Tokenizer {
    /// The bytes that every id below `vocab_size` adds after other text. Empty for ids that are no text: special and added
    /// tokens, the unknown token, and ids that only the model has.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn token_bytes(&self, vocab_size: usize) -> Result<Vec<Vec<u8>>, TokenizerError> {
        let mut bytes = vec![Vec::new(); vocab_size];
        let byte_level = self.decodes_bytes();
        let ids = self.ordinary_ids();
        let first = self.first_text(&ids)?;
        for id in ids {
            let (Some(bytes), Some(token)) = (bytes.get_mut(id as usize), self.token(id)) else {
                continue;
            };
            *bytes = if byte_level { byte_level_bytes(&token) } else { self.bytes_after(&first, id)? };
        }
        for byte in 0..=u8::MAX {
            let token = format!("<0x{byte:02X}>");
            let id = self.fallback_byte(&token).and_then(|_| self.token_id(&token));
            if let Some(bytes) = id.and_then(|id| bytes.get_mut(id as usize)) {
                *bytes = vec![byte];
            }
        }
        Ok(bytes)
    }

    /// The first id that has text at the beginning, where some decoders drop a space; and this text.
    fn first_text(&self, ids: &[u32]) -> Result<Option<(u32, String)>, TokenizerError> {
        for &id in ids {
            let text = self.decode_as_is(&[id], true)?;
            if !text.is_empty() {
                return Ok(Some((id, text)));
            }
        }
        Ok(None)
    }

    /// The bytes that `id` adds to the text of `first`; none if it changes that text.
    fn bytes_after(&self, first: &Option<(u32, String)>, id: u32) -> Result<Vec<u8>, TokenizerError> {
        let Some((first, text)) = first else {
            return Ok(Vec::new());
        };
        let both = self.decode_as_is(&[*first, id], true)?;
        let added = both.strip_prefix(text.as_str()).unwrap_or_default();
        Ok(added.as_bytes().to_vec())
    }
}

/// A decoder is of this type, or contains one.
pub(super) fn has_decoder(decoder: &Value, name: &str) -> bool {
    match decoder {
        Value::Object(fields) => {
            fields.get("type").is_some_and(|kind| kind == name) || fields.values().any(|field| has_decoder(field, name))
        }
        Value::Array(decoders) => decoders.iter().any(|decoder| has_decoder(decoder, name)),
        _ => false,
    }
}

/// The bytes of a byte-level BPE token, which spells each as a printable character (GPT-2, `bytes_to_unicode`). A token with
/// any other character spells itself.
fn byte_level_bytes(token: &str) -> Vec<u8> {
    token.chars().map(byte_of_char).collect::<Option<_>>().unwrap_or_else(|| token.as_bytes().to_vec())
}

/// Printable Latin-1 characters stand for their own code; the other bytes have the characters from U+0100 on, in order.
fn byte_of_char(character: char) -> Option<u8> {
    let itself = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u8::try_from(u32::from(character)) {
        Ok(byte) => Some(byte).filter(itself),
        Err(_) => {
            let index = (u32::from(character) - 0x100) as usize;
            (0..=u8::MAX).filter(|byte| !itself(byte)).nth(index)
        }
    }
}
