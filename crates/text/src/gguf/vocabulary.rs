//! The arrays of a GGUF file that make a vocabulary, checked against each other.

use std::borrow::Cow;

use glass_gguf::{Array, GgufError, Metadata, Strings, Value};
use tokenizers::models::bpe::Vocab;

use super::merges::MERGES;
use crate::{TokenizerError, one_line};

pub(super) const MODEL: &str = "tokenizer.ggml.model";
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(super) const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";
pub(super) const SCORES: &str = "tokenizer.ggml.scores";

/// What a token is (`enum llama_token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal = 1,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn new(number: u64) -> Option<Self> {
        use Kind::*;
        // 0 is llama.cpp's `UNDEFINED`: nothing is said.
        [Normal, Normal, Unknown, Control, UserDefined, Unused, Byte].get(usize::try_from(number).ok()?).copied()
    }
}

/// Keys, with their errors in one line.
#[derive(Clone, Copy)]
pub(super) struct Keys<'m>(pub &'m Metadata);

impl<'m> Keys<'m> {
    pub fn string(self, key: &str) -> Result<Option<&'m str>, TokenizerError> {
        self.0.string(key).map_err(key_error)
    }

    pub fn strings(self, key: &str) -> Result<Option<&'m Strings>, TokenizerError> {
        self.0.strings(key).map_err(key_error)
    }

    pub fn bool(self, key: &str) -> Result<Option<bool>, TokenizerError> {
        self.0.bool(key).map_err(key_error)
    }

    pub fn missing(self, key: &str) -> TokenizerError {
        key_error(self.0.missing(key))
    }

    /// The name of the file, for errors.
    pub fn origin(self) -> String {
        self.0.origin().display().to_string()
    }

    pub fn fault(self, key: &'static str, reason: impl Into<String>) -> TokenizerError {
        TokenizerError::KeyValue { path: self.origin(), key, reason: one_line(&reason.into()) }
    }
}

fn key_error(error: GgufError) -> TokenizerError {
    TokenizerError::Key(one_line(&error))
}

/// The tokens of a file and their types.
pub(super) struct Tokens<'m> {
    pub keys: Keys<'m>,
    texts: &'m Strings,
    kinds: Vec<Kind>,
}

impl<'m> Tokens<'m> {
    pub fn read(keys: Keys<'m>) -> Result<Self, TokenizerError> {
        let texts = keys.strings(TOKENS)?.ok_or_else(|| keys.missing(TOKENS))?;
        if u32::try_from(texts.len()).is_err() {
            return Err(keys.fault(TOKENS, "more tokens than there are ids"));
        }
        let kinds = match keys.0.u64s(TOKEN_TYPE).map_err(key_error)? {
            None => vec![Kind::Normal; texts.len()],
            Some(numbers) => {
                same_length(keys, TOKEN_TYPE, numbers.len(), texts.len())?;
                let kind = |(id, &number): (usize, &u64)| {
                    let unknown =
                        || keys.fault(TOKEN_TYPE, format!("token {id} has type {number}, and types end at 6"));
                    Kind::new(number).ok_or_else(unknown)
                };
                numbers.iter().enumerate().map(kind).collect::<Result<_, _>>()?
            }
        };
        Ok(Self { keys, texts, kinds })
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn get(&self, id: u32) -> Option<(&'m str, Kind)> {
        Some((self.texts.get(id as usize)?, self.kinds[id as usize]))
    }

    /// Whether text makes this token without its being matched whole: a character, or two tokens that a merge joins.
    pub fn is_made(&self, text: &str) -> bool {
        let merges = self.keys.strings(MERGES).ok().flatten();
        let joined = |merge: &str| merge.split_once(' ').is_some_and(|(a, b)| text.strip_prefix(a) == Some(b));
        text.chars().nth(1).is_none() || merges.is_some_and(|merges| merges.iter().any(joined))
    }

    /// One score per token; `None` where the file has none.
    pub fn scores(&self) -> Result<Option<Cow<'m, [f32]>>, TokenizerError> {
        // Some converters write ranks, which are integers.
        let scores: Cow<'m, [f32]> = match self.keys.0.get(SCORES) {
            Some(Value::Array(Array::I32(ranks))) => ranks.iter().map(|&rank| rank as f32).collect(),
            _ => match self.keys.0.f32s(SCORES).map_err(key_error)? {
                Some(scores) => scores.into(),
                None => return Ok(None),
            },
        };
        same_length(self.keys, SCORES, scores.len(), self.len())?;
        match scores.iter().position(|score| score.is_nan()) {
            Some(id) => Err(self.keys.fault(SCORES, format!("token {id} has no number for a score"))),
            None => Ok(Some(scores)),
        }
    }
}

fn same_length(keys: Keys<'_>, key: &'static str, len: usize, tokens: usize) -> Result<(), TokenizerError> {
    if len == tokens {
        return Ok(());
    }
    Err(keys.fault(key, format!("{len} elements for {tokens} tokens")))
}

/// Tokens, and the ids of those that have text.
pub(super) struct Vocabulary<'m> {
    pub tokens: Tokens<'m>,
    /// Without llama.cpp's filling of holes, and without tokens that have no text.
    pub ids: Vocab,
    /// The text of each id, as `ids` has it; `None` where that leaves it out.
    pub texts: Vec<Option<Cow<'m, str>>>,
}

impl<'m> Vocabulary<'m> {
    /// `spell` gives the spelling of a token that `tokenizers` needs, where it is another.
    pub fn new(tokens: Tokens<'m>, spell: impl Fn(&str) -> Option<String>) -> Result<Self, TokenizerError> {
        let mut ids = Vocab::with_capacity(tokens.len());
        let mut texts = Vec::with_capacity(tokens.len());
        for id in 0..tokens.len() as u32 {
            let text = tokens.get(id).filter(|&(text, kind)| !text.is_empty() && !is_filling(id, text, kind));
            let text = text.map(|(text, _)| spell(text).map_or(Cow::Borrowed(text), Cow::Owned));
            if let Some(text) = &text
                && let Some(other) = ids.insert(text.clone().into_owned(), id)
            {
                let reason = format!("tokens {other} and {id} are both {}", short(text));
                return Err(tokens.keys.fault(TOKENS, reason));
            }
            texts.push(text);
        }
        Ok(Self { tokens, ids, texts })
    }

    pub fn text(&self, id: u32) -> Option<&str> {
        self.texts.get(id as usize)?.as_deref()
    }
}

/// llama.cpp fills holes in a vocabulary, and ids that only the model has, with unused tokens of this name.
pub(super) fn filling(id: u32) -> String {
    format!("[PAD{id}]")
}

fn is_filling(id: u32, text: &str, kind: Kind) -> bool {
    kind == Kind::Unused && text == filling(id)
}

/// A token as messages show it.
pub(super) fn short(token: &str) -> String {
    const SHOWN: usize = 40;
    match token.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &token[..end]),
        None => format!("{token:?}"),
    }
}
