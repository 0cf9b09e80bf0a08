//! Several rows in one pass: what beam search and batches share.

use std::ops::ControlFlow;

use glass_attention::{Cache, Rope, Unobserved};
use glass_causal_lm::LogitsFor;
use glass_text::StreamingDetokenizer;

use crate::{Error, Llama, Memory};

/// How far a search or a batch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// So many places of the longest prompt have been read, in every row.
    Prompt { done: usize, total: usize },
    /// So many tokens have been written, in all rows together; rows that a search gives up count.
    Tokens(usize),
}

impl Llama {
    /// Reads prompts of any length, each left-padded to the longest, and returns the logits of their last positions,
    /// `[batch, vocab_size]`, row-major; `None` if it was broken off. The cache must know the padding.
    pub(super) fn prefill_rows(
        &self,
        prompts: &[&[u32]],
        memory: Memory,
        cache: &mut Cache,
        progress: &mut dyn FnMut(Advance) -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, Error> {
        let total = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let chunk = match Rope::new(&self.config).depends_on_length(total) {
            true => total,
            false => memory.prefill_chunk.get(),
        };
        let padded: Vec<Vec<u32>> = prompts
            .iter()
            .map(|prompt| [&vec![0; total - prompt.len()], *prompt].concat())
            .collect();
        let last = total.saturating_sub(1) / chunk * chunk;
        for start in (0..last).step_by(chunk) {
            let ids: Vec<&[u32]> = padded
                .iter()
                .map(|row| &row[start..start + chunk])
                .collect();
            self.model.hidden(self.ids(&ids)?, cache, &mut Unobserved)?;
            // Without this the device would queue the whole prompt before anybody saw it move.
            self.device.sync()?;
            let done = start + chunk;
            if progress(Advance::Prompt { done, total }).is_break() {
                return Ok(None);
            }
        }
        let ids: Vec<&[u32]> = padded.iter().map(|row| &row[last..]).collect();
        let logits = self.logits_of_rows(&ids, cache)?;
        match progress(Advance::Prompt { done: total, total }) {
            ControlFlow::Continue(()) => Ok(Some(logits)),
            ControlFlow::Break(()) => Ok(None),
        }
    }

    /// One pass over rows of one length, then the logits of the last position of each: `[batch, vocab_size]`, row-major.
    pub(super) fn logits_of_rows(
        &self,
        rows: &[&[u32]],
        cache: &mut Cache,
    ) -> Result<Vec<f32>, Error> {
        let ids = self.ids(rows)?; // [batch, seq]
        let logits = self
            .model
            .forward(ids, cache, LogitsFor::Last, &mut Unobserved)?; // [batch, 1, vocab_size]
        logits
            .try_into_vec_as::<f32>()
            .map_err(|error| self.device.failed(error).into())
    }

    /// The text of `ids` behind `prompt`; `None` without a tokenizer.
    pub(super) fn text_after(&self, prompt: &[u32], ids: &[u32]) -> Result<Option<String>, Error> {
        let Some(tokenizer) = &self.tokenizer else {
            return Ok(None);
        };
        let mut pieces = StreamingDetokenizer::new(tokenizer, prompt, true)?;
        let mut text = String::new();
        for &id in ids {
            text.push_str(&pieces.push(id)?);
        }
        text.push_str(&pieces.finish()?);
        Ok(Some(text))
    }
}
