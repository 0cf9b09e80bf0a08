//! The loop over the [`Engine`], with a clock: texts are written to their end, or until they are broken off.

use std::{ops::ControlFlow, time::Duration};

use web_time::Instant;

use crate::{BatchRow, Engine, Error, Event, FinishReason, Generated, Lane, Llama, Progress, Sequence, SequenceId};

/// New tokens that a cache makes room for at once; most texts end before.
pub const RESERVED: usize = 1024;

/// Texts that are written together.
pub struct Run<'m> {
    llama: &'m Llama,
    engine: Engine<'m>,
    texts: Vec<Timed>,
}

/// A text in the engine.
struct Timed {
    /// What progress calls it.
    index: usize,
    id: SequenceId,
    reused: usize,
    /// When its prompt was read, and when it ended.
    prefill: Option<Duration>,
    end: Option<Duration>,
    error: Option<Error>,
}

/// A text that has ended, and its lane.
type Ended = Result<(Generated, Lane), Error>;

impl<'m> Run<'m> {
    pub fn new(llama: &'m Llama) -> Self {
        Self { llama, engine: Engine::new(llama), texts: Vec::new() }
    }

    /// Adds a text, which progress calls number `index`.
    ///
    /// # Errors
    /// A prompt that is empty, too long or not of this vocabulary; options that make no sense.
    pub fn add(&mut self, index: usize, row: BatchRow<'_>, mut lane: Lane) -> Result<(), Error> {
        let BatchRow { prompt, options } = row;
        let (llama, limit) = (self.llama, options.max_new_tokens);
        let vocab_size = llama.config.vocab_size;
        let sequence = Sequence::new(prompt, options, vocab_size, llama.tokenizer.as_ref())?;
        llama.room(prompt.len())?;
        llama.check_ids(prompt, |index| format!("number {} of the prompt", index + 1))?;
        let expected = prompt.len() + limit.min(RESERVED);
        lane.reserve(prompt.len().saturating_add(limit), expected)?;
        self.texts.push(Timed {
            index,
            reused: lane.len(),
            id: self.engine.add(sequence, lane)?,
            prefill: None,
            end: None,
            error: None,
        });
        Ok(())
    }

    /// Takes all steps, and returns the texts in the order in which they were added. `progress` may break it off.
    ///
    /// # Errors
    /// The device fails.
    pub fn finish(mut self, progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Result<Vec<Ended>, Error> {
        let start = Instant::now();
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue() && self.engine.has_work() {
            flow = self.step(start, progress)?;
        }
        let end = start.elapsed();
        let texts = std::mem::take(&mut self.texts);
        let ended = texts.into_iter().map(|mut text| {
            text.end.get_or_insert(end);
            if flow.is_continue() {
                text.prefill.get_or_insert(end); // not a single token was asked for
            }
            self.end(text, progress)
        });
        Ok(ended.collect())
    }

    fn step(
        &mut self,
        start: Instant,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let (before, total) = self.engine.prompt_tokens();
        let step = Instant::now();
        let logits = self.engine.step()?.read()?;
        let (step, now) = (step.elapsed(), start.elapsed());
        let passed = if before < total {
            let (done, total) = self.engine.prompt_tokens();
            Progress::Prompt { done, total }
        } else {
            Progress::Pass
        };
        if progress(passed).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let mut flow = ControlFlow::Continue(());
        for (id, event) in self.engine.advance(logits) {
            let Ok(place) = self.texts.binary_search_by_key(&id, |text| text.id) else {
                continue;
            };
            let text = &mut self.texts[place];
            text.prefill.get_or_insert(now);
            match event {
                Ok(Event { id, text: new, finish }) => {
                    let told = progress(Progress::Text { index: text.index, id: Some(id), text: &new });
                    flow = if told.is_break() { told } else { flow };
                    text.end = finish.map(|_| start.elapsed());
                }
                Err(error) => text.error = Some(error),
            }
        }
        self.engine.took(step);
        Ok(flow)
    }

    /// Takes a text out of the engine; one that has not ended is broken off.
    fn end(&mut self, text: Timed, progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Ended {
        let removed = self.engine.remove(text.id);
        let (mut sequence, mut lane) = removed.unwrap_or_else(|| unreachable!("it was added"));
        if let Some(error) = text.error {
            return Err(error);
        }
        if sequence.finish_reason().is_none() {
            // What the last pass read of a draft was never looked at.
            lane.truncate(lane.len().min(sequence.ids().len()))?;
            let rest = sequence.end(FinishReason::Interrupted)?;
            // Nothing is left to break off.
            let _ = progress(Progress::Text { index: text.index, id: None, text: &rest });
        }
        let prefill = text.prefill.unwrap_or_default();
        let generated = Generated {
            reused_tokens: text.reused,
            prefill,
            decode: text.end.unwrap_or_default().saturating_sub(prefill),
            cache_bytes: lane.bytes(),
            ..sequence.into_generated()
        };
        Ok((generated, lane))
    }
}
