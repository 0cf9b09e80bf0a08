//! What haystacks are made of.

use glass_generate::Llama;
use rand_chacha::ChaCha12Rng;

use super::{EvalError, HaystackError, task::below};

/// What the haystacks of a model are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillerTokens {
    /// What the tokenizer puts in front of every text: mostly BOS, or nothing.
    pub front: Vec<u32>,
    /// What keys, values and random filler are drawn from, evenly: ids that stand for text, and so neither special, added
    /// nor unknown tokens nor the bytes of a byte fallback. Without a tokenizer, all ids.
    pub usable: Vec<u32>,
    /// Filler, if not random: read from a place drawn by chance, and from the beginning again after its end.
    pub text: Option<Vec<u32>>,
}

impl FillerTokens {
    /// What haystacks for `llama` are made of, with `text` as filler if it is given.
    ///
    /// # Errors
    /// A text, but no tokenizer; a text without tokens or that this tokenizer refuses.
    pub fn new(llama: &Llama, text: Option<&str>) -> Result<Self, EvalError> {
        let Some(tokenizer) = &llama.tokenizer else {
            let usable = (0..llama.config.vocab_size as u32).collect();
            return match text {
                Some(_) => Err(EvalError::Haystack(HaystackError::NoTokenizer { folder: llama.folder.clone() })),
                None => Ok(Self { front: Vec::new(), usable, text: None }),
            };
        };
        let mut special = llama.eos_ids();
        special.extend(llama.config.bos_token_id);
        let usable = tokenizer.ordinary_ids().into_iter();
        let text = text.map(|text| tokenizer.encode(text, false)).transpose()?;
        if let Some(ids) = &text {
            llama.check_ids(ids, |index| format!("number {} of the haystack's text", index + 1))?;
        }
        if text.as_ref().is_some_and(Vec::is_empty) {
            return Err(HaystackError::NoText.into());
        }
        Ok(Self {
            front: tokenizer.prefix_ids()?,
            usable: usable.filter(|id| (*id as usize) < llama.config.vocab_size && !special.contains(id)).collect(),
            text,
        })
    }

    /// The filler that this stream of chance gives.
    pub(super) fn stream(&self, mut rng: ChaCha12Rng) -> FillerStream<'_> {
        let next = match &self.text {
            Some(text) => below(&mut rng, text.len()),
            None => 0,
        };
        FillerStream { tokens: self, next, rng }
    }
}

/// Filler, token by token.
pub(super) struct FillerStream<'a> {
    tokens: &'a FillerTokens,
    /// Place in the text, if there is one.
    next: usize,
    rng: ChaCha12Rng,
}

impl FillerStream<'_> {
    /// Adds one token. A random one that completes what is `forbidden` becomes another, and no further number is drawn for
    /// that; a text stays as it is.
    pub(super) fn push(&mut self, ids: &mut Vec<u32>, forbidden: impl Fn(&[u32]) -> bool) {
        let usable = &self.tokens.usable;
        match &self.tokens.text {
            Some(text) => {
                ids.push(text[self.next]);
                self.next = (self.next + 1) % text.len();
            }
            None => {
                let drawn = below(&mut self.rng, usable.len());
                ids.push(usable[drawn]);
                let last = ids.len() - 1;
                for step in 1..usable.len() {
                    if !forbidden(ids) {
                        break;
                    }
                    ids[last] = usable[(drawn + step) % usable.len()];
                }
            }
        }
    }
}
