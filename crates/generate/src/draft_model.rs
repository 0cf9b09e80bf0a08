//! A draft model: a smaller one guesses the next tokens, and the model itself checks them in one pass.
//!
//! Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318. The draft is what the small model finds most
//! probable. [`crate::prompt_lookup`] says why nothing of it is approximate: the model's own sampler chooses every token, and
//! a guess counts only if it is what was chosen.
//!
//! Where the small model has another vocabulary, text goes from one tokenizer to the other and back.

use glass_text::Tokenizer;

use crate::{
    Choice, Error, Lane, Llama, Next, PrefillOptions, log_softmax_at, pace::MAX_DRAFT, sampling::argmax, step,
};

/// A guess that the small model itself thinks less probable than this ends the draft.
const LEAST_PROBABLE: f64 = 0.3;

/// Tokens of the text's end that are encoded again with a translated draft behind them.
const SEAM: usize = 8;

/// A small model that follows one text.
pub struct DraftModel<'m> {
    draft: &'m Llama,
    lane: Lane,
    /// What the lane has read, in the draft model's ids.
    read: Vec<u32>,
    /// Both tokenizers, the draft model's first, if their ids differ.
    translation: Option<[&'m Tokenizer; 2]>,
    /// The model's.
    vocab_size: usize,
}

impl<'m> DraftModel<'m> {
    /// `draft` guesses what `model` writes.
    ///
    /// # Errors
    /// The vocabularies differ, and one of them has no tokenizer to translate with.
    pub fn new(draft: &'m Llama, model: &'m Llama) -> Result<Self, Error> {
        let translation = match (&draft.tokenizer, &model.tokenizer) {
            (Some(own), Some(of_model)) => (!have_same_ids(own, of_model)).then_some([own, of_model]),
            _ if draft.config.vocab_size == model.config.vocab_size => None,
            (None, _) => return Err(Error::NoTokenizer { folder: draft.folder.clone() }),
            (_, None) => return Err(Error::NoTokenizer { folder: model.folder.clone() }),
        };
        Ok(Self { lane: lane(draft)?, draft, read: Vec::new(), translation, vocab_size: model.config.vocab_size })
    }

    /// Up to `most` tokens that may follow `ids`.
    ///
    /// # Errors
    /// The device fails, or a tokenizer does.
    pub fn guess(&mut self, ids: &[u32], most: usize) -> Result<Vec<u32>, Error> {
        let most = most.min(MAX_DRAFT);
        let mut guessed = match self.translation {
            None => self.continue_ids(ids, most)?,
            Some([own, of_model]) => self.translated(ids, most, own, of_model)?,
        };
        // A vocabulary that is padded has ids that the other has not.
        let known = guessed.iter().take_while(|id| (**id as usize) < self.vocab_size).count();
        guessed.truncate(known);
        Ok(guessed)
    }

    fn translated(
        &mut self,
        ids: &[u32],
        most: usize,
        own: &Tokenizer,
        of_model: &Tokenizer,
    ) -> Result<Vec<u32>, Error> {
        let text = of_model.decode(ids, false)?;
        let own_ids = own.encode(&text, false)?;
        let new = self.continue_ids(&own_ids, most)?;
        let longer = own.decode(&[own_ids.as_slice(), &new].concat(), false)?;
        let Some(more) = longer.strip_prefix(own.decode(&own_ids, false)?.as_str()) else {
            return Ok(Vec::new());
        };
        // A draft goes on at the text's own tokens, or not at all.
        let seam = &ids[ids.len().saturating_sub(SEAM)..];
        let joined = of_model.encode(&(of_model.decode(seam, false)? + more), false)?;
        let follows = joined.strip_prefix(seam).unwrap_or_default();
        Ok(follows.iter().copied().take(most).collect())
    }

    /// What the draft model finds most probable behind `ids`, as long as it is sure.
    fn continue_ids(&mut self, ids: &[u32], most: usize) -> Result<Vec<u32>, Error> {
        let context = self.draft.config.context();
        let in_vocabulary = |id: &u32| (*id as usize) < self.draft.config.vocab_size;
        if ids.is_empty() || ids.len() + most > context || !ids.iter().all(in_vocabulary) {
            return Ok(Vec::new());
        }
        // Its logits follow a token that is read now, so that one at least must be.
        let same = self.read.iter().zip(ids).take_while(|(a, b)| a == b).count().min(ids.len() - 1);
        if self.lane.truncate(same).is_err() {
            self.lane = lane(self.draft)?;
            self.read.clear();
        }
        self.read.truncate(same);
        let mut next = ids[self.read.len()..].to_vec();
        let ends = self.draft.eos_ids();
        let mut guessed = Vec::new();
        while guessed.len() < most {
            self.lane.push(&next, 1);
            self.read.append(&mut next);
            let (id, log_prob) = self.most_probable()?;
            if log_prob < LEAST_PROBABLE.ln() {
                break;
            }
            guessed.push(id);
            if ends.contains(&id) {
                break;
            }
            next.push(id);
        }
        Ok(guessed)
    }

    /// Reads what is queued: the most probable token behind it, and the logarithm of its probability.
    fn most_probable(&mut self) -> Result<(u32, f64), Error> {
        loop {
            let mut logits = step(self.draft, [&mut self.lane])?.read()?;
            let Some((_, next)) = logits.rows().next() else {
                continue; // a chunk of the prompt
            };
            return match next {
                Next::Chosen(chosen) => chosen.map(|chosen| (chosen.id, chosen.log_prob)).map_err(Error::from),
                Next::Logits(row) => {
                    let id = argmax(row)?;
                    Ok((id, log_softmax_at(row, id)))
                }
            };
        }
    }
}

/// An empty lane that can take guesses back.
fn lane(draft: &Llama) -> Result<Lane, Error> {
    let mut lane = Lane::new(draft, PrefillOptions::default())?;
    lane.reserve_rollback(MAX_DRAFT)?;
    lane.set_choice(Choice::Best);
    Ok(lane)
}

/// Whether every id means the same token to both.
fn have_same_ids(a: &Tokenizer, b: &Tokenizer) -> bool {
    let ids = a.vocab_size().min(b.vocab_size()) as u32;
    (0..ids).all(|id| a.token(id) == b.token(id))
}
