//! JSON that must follow a mark in a text that is free elsewhere: a call that a model need not make.

use std::mem;

use glass_text::{Tokenizer, TokenizerError};
use llguidance::toktrie::TokEnv;

use super::{Constraint, ConstraintError, JsonSchema, vocabulary};
use crate::Error;

/// Most tokens of space between a mark and the JSON.
const SPACES: usize = 4;

/// What follows `mark` in a text must be JSON of this schema.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkedSchema {
    /// As it stands in the text, the names of special tokens included.
    pub mark: String,
    pub schema: JsonSchema,
}

/// One text under marked schemas, token by token.
pub(crate) struct Marked {
    /// Each mark, and a constraint that has read nothing.
    marks: Vec<(String, Constraint)>,
    /// Tokens that are nothing but space.
    spaces: Vec<u32>,
    vocabulary: TokEnv,
    /// The end of the text, in which a mark may have begun.
    tail: String,
    state: State,
}

enum State {
    /// Anything may come.
    Free,
    /// A mark is behind; so many tokens of space may still come.
    Begins(Box<Constraint>, usize),
    Within(Box<Constraint>),
}

impl Marked {
    /// # Errors
    /// As [`Constraint::new`].
    pub fn new(
        marked: &[MarkedSchema],
        tokenizer: &Tokenizer,
        vocab_size: usize,
        eos_ids: &[u32],
    ) -> Result<Self, Error> {
        let vocabulary = vocabulary(tokenizer, vocab_size, eos_ids)?;
        let constraint = |MarkedSchema { mark, schema }: &MarkedSchema| -> Result<_, Error> {
            Ok((mark.clone(), Constraint::of(&vocabulary, schema)?))
        };
        let marks = marked.iter().map(constraint).collect::<Result<_, _>>()?;
        let spaces = spaces(tokenizer, vocab_size)?;
        Ok(Self { marks, spaces, vocabulary, tail: String::new(), state: State::Free })
    }

    /// Gives −∞ to every token that cannot come next.
    ///
    /// # Errors
    /// As [`Constraint::mask`].
    pub fn mask(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        match &mut self.state {
            State::Free => Ok(()),
            State::Within(constraint) | State::Begins(constraint, 0) => constraint.mask(logits),
            State::Begins(constraint, _) => {
                let spaces: Vec<(u32, f32)> =
                    self.spaces.iter().filter_map(|&id| logits.get(id as usize).map(|&logit| (id, logit))).collect();
                constraint.mask(logits)?;
                for (id, logit) in spaces {
                    logits[id as usize] = logit;
                }
                Ok(())
            }
        }
    }

    /// Takes a token, and what it adds to the text, the name of a special token included.
    ///
    /// # Errors
    /// A token that [`mask`](Self::mask) did not leave.
    pub fn push(&mut self, id: u32, text: &str) -> Result<(), ConstraintError> {
        self.state = match mem::replace(&mut self.state, State::Free) {
            State::Free => {
                self.tail.push_str(text);
                self.look()
            }
            State::Begins(constraint, left) if left > 0 && self.spaces.contains(&id) => {
                State::Begins(constraint, left - 1)
            }
            State::Begins(constraint, _) | State::Within(constraint) => read(constraint, &[id])?,
        };
        Ok(())
    }

    /// Begins where the tail has a mark.
    fn look(&mut self) -> State {
        let found =
            self.marks.iter().filter_map(|(mark, constraint)| Some((self.tail.find(mark)? + mark.len(), constraint)));
        if let Some((end, constraint)) = found.min_by_key(|(end, _)| *end) {
            let constraint = Box::new(constraint.fresh());
            let rest = self.tail.split_off(end);
            self.tail.clear();
            let json = rest.trim_start();
            if json.is_empty() {
                return State::Begins(constraint, SPACES);
            }
            // The mark's last token has more of the text. Where that is no JSON, the mark was one of a text.
            return read(constraint, &self.vocabulary.tok_trie().greedy_tokenize(json.as_bytes())).unwrap_or_else(
                |_| {
                    self.tail = rest;
                    State::Free
                },
            );
        }
        let longest = self.marks.iter().map(|(mark, _)| mark.len()).max().unwrap_or(0);
        let surplus = self.tail.len().saturating_sub(longest);
        let cut = (0..=surplus).rev().find(|&at| self.tail.is_char_boundary(at)).unwrap_or(0);
        self.tail.drain(..cut);
        State::Free
    }
}

/// Goes on in JSON; where it is whole the text is free again.
fn read(mut constraint: Box<Constraint>, ids: &[u32]) -> Result<State, ConstraintError> {
    for id in ids {
        if constraint.push(*id)? {
            return Ok(State::Free);
        }
    }
    Ok(State::Within(constraint))
}

fn spaces(tokenizer: &Tokenizer, vocab_size: usize) -> Result<Vec<u32>, TokenizerError> {
    let words = tokenizer.token_bytes(vocab_size)?;
    let is_space = |word: &Vec<u8>| !word.is_empty() && word.iter().all(u8::is_ascii_whitespace);
    Ok((0..).zip(&words).filter(|(_, word)| is_space(word)).map(|(id, _)| id).collect())
}
