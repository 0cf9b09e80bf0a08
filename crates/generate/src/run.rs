//! The loop over the [`Engine`], with a clock: texts are written to their end, or until they are broken off.

use std::{collections::VecDeque, ops::ControlFlow, time::Duration};

use web_time::Instant;

use crate::{
    BatchRow, DraftModel, Engine, Error, Event, FinishReason, Generated, Lane, Llama, Passes, Progress, Sequence,
    SequenceId, Speculation, Working, pace::Pace,
};

/// New tokens that a cache makes room for at once; most texts end before.
pub const RESERVED: usize = 1024;

/// Texts that are written together.
pub struct Run<'m> {
    llama: &'m Llama,
    engine: Engine<'m>,
    passes: Passes,
    texts: Vec<Timed>,
    /// What ended and was not asked for yet.
    ended: VecDeque<(usize, Ended)>,
    /// Prompt tokens of the texts that have left.
    left: usize,
    flow: ControlFlow<()>,
    /// Guesses what the only text says next.
    draft_model: Option<(DraftModel<'m>, Pace)>,
}

/// A text in the engine.
struct Timed {
    /// What progress calls it.
    index: usize,
    id: SequenceId,
    reused: usize,
    start: Instant,
    /// When its prompt was read, and when it ended.
    prefill: Option<Instant>,
    end: Option<Instant>,
    error: Option<Error>,
}

/// A text that has ended, and its lane.
type Ended = Result<(Generated, Lane), Error>;

impl<'m> Run<'m> {
    pub fn new(llama: &'m Llama) -> Self {
        Self {
            llama,
            engine: Engine::new(llama),
            passes: Passes::new(llama, usize::MAX),
            texts: Vec::new(),
            ended: VecDeque::new(),
            left: 0,
            flow: ControlFlow::Continue(()),
            draft_model: None,
        }
    }

    /// Only one text is then added.
    pub fn with_draft_model(self, draft_model: DraftModel<'m>) -> Self {
        Self { draft_model: Some((draft_model, Pace::default())), ..self }
    }

    /// Texts that are being written.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether `progress` has broken it off.
    pub fn is_broken_off(&self) -> bool {
        self.flow.is_break()
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
            start: Instant::now(),
            prefill: None,
            end: None,
            error: None,
        });
        Ok(())
    }

    /// Takes steps until a text has ended; `None`: none is left. `progress` may break it off: then all end.
    ///
    /// # Errors
    /// The device fails.
    pub fn next(
        &mut self,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<(usize, Ended)>, Error> {
        while self.ended.is_empty() && !self.texts.is_empty() {
            if self.flow.is_continue() {
                self.flow = self.step(progress)?;
            }
            // Who has nothing to read has ended, or failed.
            let is_over = |text: &mut Timed| self.flow.is_break() || !self.engine.is_working(text.id);
            let over: Vec<Timed> = self.texts.extract_if(.., is_over).collect();
            for text in over {
                let index = text.index;
                let ended = self.end(text, progress);
                self.ended.push_back((index, ended));
            }
        }
        Ok(self.ended.pop_front())
    }

    /// One token of every text, and pieces of prompts.
    fn step(&mut self, progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Result<ControlFlow<()>, Error> {
        let start = Instant::now();
        let guesses = self.draft()?;
        let working: Vec<Working> = self.engine.working().collect();
        for pass in self.passes.plan(&working) {
            if self.pass(&pass, progress)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if let (Some((id, before)), Some((_, pace))) = (guesses, &mut self.draft_model)
            && let Some(after) = self.engine.sequence(id).and_then(Sequence::speculation)
        {
            pace.note(after.drafted - before.drafted, after.accepted - before.accepted, start.elapsed());
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What some of the texts read of it.
    fn pass(
        &mut self,
        texts: &[SequenceId],
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let (before, total) = self.engine.prompt_tokens();
        let start = Instant::now();
        let logits = self.engine.step_of(|id| texts.contains(&id))?.read()?;
        let now = Instant::now();
        let passed = if before < total {
            let (done, total) = self.engine.prompt_tokens();
            Progress::Prompt { done: self.left + done, total: self.left + total }
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
                    let told = progress(Progress::Text { index: text.index, id, text: &new });
                    flow = if told.is_break() { told } else { flow };
                    text.end = finish.map(|_| Instant::now());
                }
                Err(error) => text.error = Some(error),
            }
        }
        self.engine.took(now - start);
        Ok(flow)
    }

    /// Lets the draft model guess what follows the text that is being written; what drafts have brought it before.
    fn draft(&mut self) -> Result<Option<(SequenceId, Speculation)>, Error> {
        let (Some((model, pace)), [Timed { id, prefill: Some(_), .. }]) = (&mut self.draft_model, &self.texts[..])
        else {
            return Ok(None);
        };
        let Some(sequence) = self.engine.sequence(*id) else { return Ok(None) };
        let most = pace.draft().min(sequence.room_for_draft());
        let before = sequence.speculation().copied().unwrap_or_default();
        if most > 0 {
            let draft = model.guess(sequence.ids(), most)?;
            self.engine.draft(*id, &draft)?;
        }
        Ok(Some((*id, before)))
    }

    /// Takes a text out of the engine; one that has not ended is broken off.
    fn end(&mut self, text: Timed, progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Ended {
        let removed = self.engine.remove(text.id);
        let (mut sequence, mut lane) = removed.unwrap_or_else(|| unreachable!("it was added"));
        self.left += sequence.prompt().len();
        if let Some(error) = text.error {
            return Err(error);
        }
        let end = text.end.unwrap_or_else(Instant::now);
        // Where not a single token was asked for, the prompt is all there is.
        let prefill = text.prefill.or(sequence.finish_reason().map(|_| end));
        if sequence.finish_reason().is_none() {
            // What the last pass read of a draft was never looked at.
            lane.truncate(lane.len().min(sequence.ids().len()))?;
            let rest = sequence.end(FinishReason::Interrupted)?;
            // Nothing is left to break off.
            let _ = progress(Progress::Text { index: text.index, id: None, text: &rest });
        }
        let generated = Generated {
            reused_tokens: text.reused,
            prefill: prefill.map_or(Duration::ZERO, |prefill| prefill - text.start),
            decode: end - prefill.unwrap_or(end),
            cache_bytes: lane.bytes(),
            ..sequence.into_generated()
        };
        Ok((generated, lane))
    }
}
