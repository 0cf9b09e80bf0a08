//! A text that is JSON of a given shape, whatever the model: at every step the tokens that could not be continued to such a
//! text get the logit −∞ (Willard and Louf 2023, <https://arxiv.org/abs/2307.09702>).
//!
//! Which tokens those are, the `llguidance` crate computes: it makes a grammar of the schema and walks a trie of all tokens'
//! bytes along it. Reading order: [`JsonSchema`] (a schema that was checked) · [`Constraint`] (one text under it) ·
//! [`MarkedSchema`] (JSON that must follow a mark in a text that is free elsewhere).

mod json_schema;
mod marked;

use std::{panic::AssertUnwindSafe, sync::Arc};

use glass_text::{Tokenizer, TokenizerError, one_line};
use llguidance::{
    ParserFactory, TokenParser,
    api::{StopReason, TopLevelGrammar},
    panic_utils::catch_unwind,
    toktrie::{ApproximateTokEnv, INVALID_TOKEN, TokEnv, TokRxInfo, TokTrie},
};
use thiserror::Error;

pub use json_schema::JsonSchema;
pub(crate) use marked::Marked;
pub use marked::MarkedSchema;

use crate::Error;

/// Why a text cannot be held to a schema. Each message is one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConstraintError {
    #[error("not JSON ({reason})")]
    NotJson { reason: String },
    /// `place` is a JSON pointer.
    #[error("{place}: a schema is an object, or true or false, not {found}")]
    NotASchema { place: String, found: String },
    #[error("{place}: {keyword:?} is not honoured, and ignoring it would allow other texts: take it out")]
    Keyword { place: String, keyword: String },
    #[error("no text can be held to this schema: {reason}")]
    Refused { reason: String },
    #[error("a schema is about text, and the model has no tokenizer.json that would make ids text")]
    NoTokenizer,
    #[error("a stop string would cut JSON in two: leave it out")]
    StopString,
    #[error("the model's vocabulary cannot spell what the schema asks for: no token can follow {text:?}")]
    DeadEnd { text: String },
    #[error("after {text:?}: {reason}")]
    Engine { text: String, reason: String },
}

/// Longest end of a text that an error shows, in characters.
const SHOWN: usize = 40;

/// The walker counts a token's bytes with ten bits.
const LONGEST_TOKEN: usize = 1024;

/// One text under a schema, token by token.
pub struct Constraint {
    parser: TokenParser,
    /// Without an end-of-sequence token a text ends as soon as it may.
    has_eos: bool,
}

impl Constraint {
    /// A text of a model with this vocabulary that begins here: the prompt is no part of it.
    ///
    /// # Errors
    /// [`ConstraintError::DeadEnd`] if no token can be the first; and whatever the tokenizer's decoder says.
    pub fn new(schema: &JsonSchema, tokenizer: &Tokenizer, vocab_size: usize, eos_ids: &[u32]) -> Result<Self, Error> {
        Ok(Self::of(&vocabulary(tokenizer, vocab_size, eos_ids)?, schema)?)
    }

    fn of(vocabulary: &TokEnv, schema: &JsonSchema) -> Result<Self, ConstraintError> {
        let parser = parser(vocabulary, schema.grammar())?;
        let has_eos = vocabulary.tok_trie().eos_token() != INVALID_TOKEN;
        let mut this = Self { parser, has_eos };
        // Before anybody waits for a pass.
        this.mask(&mut [])?;
        Ok(this)
    }

    /// Another that is where this one is.
    fn fresh(&self) -> Self {
        Self { parser: self.parser.deep_clone(), has_eos: self.has_eos }
    }

    /// Gives −∞ to every token that cannot come next. Logits that are not numbers stay, to be reported.
    ///
    /// # Errors
    /// [`ConstraintError::DeadEnd`] if that leaves none.
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        let parser = &mut self.parser;
        let allowed = catch_unwind(AssertUnwindSafe(|| parser.compute_mask()));
        let allowed = allowed.map_err(|error| match self.parser.stop_reason() {
            StopReason::NoExtensionBias => ConstraintError::DeadEnd { text: self.end() },
            _ => self.failed(&error),
        })?;
        for (id, logit) in logits.iter_mut().enumerate() {
            if logit.is_finite() && !allowed.get(id) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    /// Takes a token that [`Self::mask`] left; true if the text is whole now and ends here.
    ///
    /// # Errors
    /// A token that was not left.
    pub fn push(&mut self, id: u32) -> Result<bool, ConstraintError> {
        let parser = &mut self.parser;
        let has_eos = self.has_eos;
        let whole = catch_unwind(AssertUnwindSafe(|| {
            parser.consume_token(id)?;
            Ok(parser.check_stop()? || (!has_eos && parser.is_accepting()))
        }));
        whole.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &impl ToString) -> ConstraintError {
        ConstraintError::Engine { text: self.end(), reason: plain(error) }
    }

    fn end(&self) -> String {
        let text = String::from_utf8_lossy(self.parser.final_bytes());
        let start = text.char_indices().rev().nth(SHOWN - 1);
        text[start.map_or(0, |(start, _)| start)..].to_owned()
    }
}

/// The bytes of all tokens, as a trie.
fn vocabulary(tokenizer: &Tokenizer, vocab_size: usize, eos_ids: &[u32]) -> Result<TokEnv, TokenizerError> {
    let mut words = tokenizer.token_bytes(vocab_size)?;
    let eos_ids: Vec<u32> = eos_ids.iter().copied().filter(|id| (*id as usize) < vocab_size).collect();
    for (id, word) in words.iter_mut().enumerate() {
        // 0xFF, which is in no UTF-8, marks special tokens there.
        let unusable = word.len() > LONGEST_TOKEN || word.contains(&TokTrie::SPECIAL_TOKEN_MARKER);
        if unusable || eos_ids.contains(&(id as u32)) {
            word.clear();
        }
    }
    let first_eos = eos_ids.first().copied().unwrap_or(INVALID_TOKEN);
    let mut trie = TokTrie::from(&TokRxInfo::new(vocab_size as u32, first_eos), &words);
    if !eos_ids.is_empty() {
        trie = trie.with_eos_tokens(&eos_ids);
    }
    Ok(Arc::new(ApproximateTokEnv::new(trie)))
}

fn parser(vocabulary: &TokEnv, grammar: TopLevelGrammar) -> Result<TokenParser, ConstraintError> {
    let parser = catch_unwind(AssertUnwindSafe(|| {
        let mut factory = ParserFactory::new_simple(vocabulary)?;
        factory.quiet().limits_mut().verbose_errors = false;
        let mut parser = factory.create_parser(grammar)?;
        parser.start_without_prompt();
        Ok(parser)
    }));
    parser.map_err(|error| ConstraintError::Refused { reason: plain(&error) })
}

/// The engine's message in one line, without its marks.
fn plain(error: &impl ToString) -> String {
    one_line(&error.to_string().replace("<non-verbose/>", ""))
}
