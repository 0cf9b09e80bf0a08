//! What the generation of one text asks of the model.

use std::ops::ControlFlow;

use glass_attention::{Cache, Rope, Unobserved};
use glass_causal_lm::LogitsFor;

use crate::{
    Error, Llama, Memory, Progress,
    on_device::{self, Next},
};

impl Llama {
    /// Reads what is unread of the prompt and returns what follows it; `None` if it was broken off.
    pub(super) fn prefill(
        &self,
        prompt: &[u32],
        memory: Memory,
        cache: &mut Cache,
        on_device: bool,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Next>, Error> {
        let total = prompt.len();
        let chunk = match Rope::new(&self.config).depends_on_length(total) {
            true => total,
            false => memory.prefill_chunk.get(),
        };
        let mut done = cache.seen();
        let unread = &prompt[done..];
        let (whole, last) = unread.split_at((unread.len() - 1) / chunk * chunk);
        for ids in whole.chunks(chunk) {
            self.model
                .hidden(self.ids(&[ids])?, cache, &mut Unobserved)?;
            // Without this the device would queue the whole prompt before anybody saw it move.
            self.device.sync()?;
            done += ids.len();
            if progress(Progress::Prompt { done, total }).is_break() {
                return Ok(None);
            }
        }
        let next = self.next(last, cache, on_device)?;
        match progress(Progress::Prompt { done: total, total }) {
            ControlFlow::Continue(()) => Ok(Some(next)),
            ControlFlow::Break(()) => Ok(None),
        }
    }

    /// One pass over `ids`, then what follows the last of them; the choice itself if it may be made on the device, and can.
    pub(super) fn next(
        &self,
        ids: &[u32],
        cache: &mut Cache,
        on_device: bool,
    ) -> Result<Next, Error> {
        let ids = self.ids(&[ids])?; // [1, seq]
        let logits = self
            .model
            .forward(ids, cache, LogitsFor::Last, &mut Unobserved)?; // [1, 1, vocab_size]
        if on_device && let Some(chosen) = on_device::choose(&self.device, &logits)? {
            return Ok(Next::Chosen(chosen));
        }
        let logits = logits.try_into_vec_as::<f32>();
        let logits = logits.map_err(|error| self.device.failed(error))?;
        Ok(Next::Logits(logits))
    }

    /// One pass over `ids`, then the logits `[vocab_size]` of each of them, or of the last.
    pub(super) fn logits_of(
        &self,
        ids: &[u32],
        logits_for: LogitsFor,
        cache: &mut Cache,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let ids = self.ids(&[ids])?; // [1, seq]
        let logits = self
            .model
            .forward(ids, cache, logits_for, &mut Unobserved)?; // [1, seq or 1, vocab_size]
        let logits = logits
            .try_into_vec_as::<f32>()
            .map_err(|error| self.device.failed(error))?;
        // The one row of a plain step is not copied.
        match logits.len() == self.config.vocab_size {
            true => Ok(vec![logits]),
            false => Ok(logits
                .chunks(self.config.vocab_size)
                .map(<[f32]>::to_vec)
                .collect()),
        }
    }
}
