//! The tokens of a text, to look at.

use super::{Tokenizer, TokenizerError, catch_panic};

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub id: u32,
    /// As the vocabulary spells it; `None` if it has no such id.
    pub token: Option<String>,
    /// The first character of the text that it stands for, and the one behind the last. `None` for a token that was added,
    /// and where ids were given.
    pub span: Option<(usize, usize)>,
    /// The text there; where ids were given, what they decode to one by one.
    pub text: Option<String>,
    /// Left out of decoded text.
    pub special: bool,
}

impl Tokenizer {
    /// The tokens of a text: with `as_prompt` those of [`encode_prompt`](Self::encode_prompt), else without added ones.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn pieces(&self, text: &str, as_prompt: bool) -> Result<Vec<Piece>, TokenizerError> {
        let encoding = catch_panic(|| self.inner.encode_char_offsets(text, as_prompt))
            .map_err(|reason| TokenizerError::Encode { reason })?;
        let letters: Vec<char> = text.chars().collect();
        let added = encoding.get_special_tokens_mask();
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(added);
        let mut pieces: Vec<Piece> = tokens
            .map(|((&id, &(start, end)), &added)| {
                let span = (added == 0).then_some((start, end));
                let text = span.and_then(|(start, end)| letters.get(start..end)).map(|text| text.iter().collect());
                Piece { id, token: self.token(id), span, text, special: self.special_text(id).is_some() }
            })
            .collect();
        // A prompt that spells out the token that is put in front does not get it twice.
        let front = added.iter().take_while(|&&mark| mark == 1).count();
        if front > 0 && pieces.get(front).map(|next| next.id) == Some(pieces[front - 1].id) {
            pieces.remove(front - 1);
        }
        Ok(pieces)
    }

    /// The tokens with these ids.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn pieces_of_ids(&self, ids: &[u32]) -> Result<Vec<Piece>, TokenizerError> {
        ids.iter()
            .map(|&id| {
                let token = self.token(id);
                let text = token.as_ref().map(|_| self.decode(&[id], false)).transpose()?;
                Ok(Piece { id, token, span: None, text, special: self.special_text(id).is_some() })
            })
            .collect()
    }
}
