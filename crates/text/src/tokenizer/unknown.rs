//! Characters that a vocabulary does not have.

use std::fmt;

use serde_json::Value;
use tokenizers::models::ModelWrapper;

use super::{Tokenizer, TokenizerError};

/// How many different characters a message shows.
const SHOWN: usize = 5;

/// Characters of texts for which there is no token: the model reads an unknown token in their place, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// How many there were in all.
    pub count: usize,
    /// Different ones, in the order in which they came.
    pub characters: Vec<char>,
    /// The token that stands for them, if there is one.
    pub token: Option<String>,
}

impl Unknown {
    /// Adds those of another text.
    pub fn extend(&mut self, other: Self) {
        self.count += other.count;
        self.token = self.token.take().or(other.token);
        for letter in other.characters {
            if !self.characters.contains(&letter) {
                self.characters.push(letter);
            }
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.characters.iter().take(SHOWN).map(|letter| format!("{letter:?}")).collect();
        let more = if self.characters.len() > SHOWN { ", ..." } else { "" };
        let (characters, are) = if self.count == 1 { ("character", "is") } else { ("characters", "are") };
        write!(
            f,
            "{} {characters} of the text {are} not in the vocabulary ({}{more}): the model reads ",
            self.count,
            shown.join(", ")
        )?;
        match &self.token {
            Some(token) => write!(f, "{token} instead"),
            None => f.write_str("nothing in their place"),
        }
    }
}

impl Tokenizer {
    /// The characters of `text` that have no token. Whitespace that a normalizer drops does not count.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn unknown_in(&self, text: &str) -> Result<Unknown, TokenizerError> {
        let encoding = self.encoding(text, false)?;
        let unknown = self.unknown_token();
        let mut covered = vec![false; text.len()];
        let mut found = Unknown::default();
        for (&id, &(start, end)) in encoding.get_ids().iter().zip(encoding.get_offsets()) {
            // The unknown token itself may stand in a text.
            let is_unknown =
                unknown.as_ref().is_some_and(|(known, token)| *known == id && text.get(start..end) != Some(token));
            if !is_unknown {
                covered.get_mut(start..end).into_iter().for_each(|bytes| bytes.fill(true));
            }
        }
        for (at, letter) in text.char_indices() {
            if !covered[at] && !letter.is_whitespace() {
                found.count += 1;
                if !found.characters.contains(&letter) {
                    found.characters.push(letter);
                }
            }
        }
        found.token = unknown.filter(|_| found.count > 0).map(|(_, token)| token);
        Ok(found)
    }

    /// The token for what the vocabulary does not have.
    pub(super) fn unknown_token(&self) -> Option<(u32, String)> {
        let token = match self.inner.get_model() {
            ModelWrapper::BPE(model) => model.get_unk_token().clone()?,
            ModelWrapper::WordLevel(model) => model.unk_token.clone(),
            ModelWrapper::WordPiece(model) => model.unk_token.clone(),
            // It has an id instead.
            model @ ModelWrapper::Unigram(_) => {
                let model = serde_json::to_value(model).ok()?;
                let id = u32::try_from(model.get("unk_id").and_then(Value::as_u64)?).ok()?;
                return Some((id, self.token(id)?));
            }
        };
        Some((self.token_id(&token)?, token))
    }
}
