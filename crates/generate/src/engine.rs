//! Many texts, one pass for the next tokens of all: they join and leave between any two steps.

use std::{iter, mem, time::Duration};

use glass_kv_cache::CacheError;
use rayon::prelude::*;

use crate::{Choice, Error, Event, Lane, Llama, Logits, Next, Sequence, StepOutput, TokenLogprobs, step::step_within};

/// Writes texts, each as if it were alone.
///
/// ```text
/// while engine.has_work() {
///     let logits = engine.step()?.read()?; // the one place that waits; in a browser `.read_async().await?`
///     for (id, event) in engine.advance(logits) { .. }
/// }
/// ```
///
/// Every step reads the newest token of each text that is being written, and chunks of the prompts of the others.
pub struct Engine<'m> {
    llama: &'m Llama,
    texts: Vec<Text<'m>>,
    next_id: usize,
    step_tokens: usize,
    /// The texts of the last step, in its order.
    stepped: Vec<SequenceId>,
}

struct Text<'m> {
    id: SequenceId,
    sequence: Sequence<'m>,
    lane: Lane,
    /// Texts that begin where the prompt of this one ends.
    others: Vec<(SequenceId, Sequence<'m>)>,
    /// How many of the most probable tokens are told at each place of the prompt, and what nobody has taken yet.
    told: Option<(usize, Vec<TokenLogprobs>)>,
}

/// A sequence of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(usize);

/// A text that goes on, and what it reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Working {
    pub id: SequenceId,
    /// Whether it is being written: what it reads are its newest token and a draft. Else they are a piece of its prompt.
    pub writes: bool,
    pub tokens: usize,
}

impl<'m> Engine<'m> {
    /// An engine without work.
    pub fn new(llama: &'m Llama) -> Self {
        Self { llama, texts: Vec::new(), next_id: 0, step_tokens: usize::MAX, stepped: Vec::new() }
    }

    /// Reads at most so many tokens in a step, one at least: those of texts that are being written, then chunks of prompts. A
    /// chunk that cannot be cut, because its angles depend on the length of its pass, goes beyond that.
    pub fn with_step_tokens(self, step_tokens: usize) -> Self {
        Self { step_tokens, ..self }
    }

    /// Adds a text. `lane` may have read the beginning of its prompt, but not the whole: the last token's logits are what the
    /// text begins with.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`]: nothing is left to read.
    pub fn add(&mut self, sequence: Sequence<'m>, lane: Lane) -> Result<SequenceId, Error> {
        Ok(self.add_all(sequence, Vec::new(), lane)?[0])
    }

    /// Adds several texts with one prompt, which is read once: the first, and `others` that begin where it has been read. They
    /// have the ids that follow that of the first. Until then they leave together with it.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_all(
        &mut self,
        sequence: Sequence<'m>,
        others: Vec<Sequence<'m>>,
        mut lane: Lane,
    ) -> Result<Vec<SequenceId>, Error> {
        let unread = sequence.prompt().get(lane.len()..).unwrap_or_default();
        if unread.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        // A text without a single new token is read all the same.
        let logits = usize::from(sequence.finish_reason().is_none());
        lane.push(unread, logits);
        let choice = sequence.choice(logits);
        // Others would draw by other numbers.
        let is_shared = !others.is_empty() && matches!(choice, Choice::Draws(_));
        lane.set_choice(if is_shared { Choice::Host } else { choice });
        let ids: Vec<_> = (self.next_id..=self.next_id + others.len()).map(SequenceId).collect();
        self.next_id += ids.len();
        let others = ids[1..].iter().copied().zip(others).collect();
        self.texts.push(Text { id: ids[0], sequence, lane, others, told: None });
        Ok(ids)
    }

    /// From here on tells of every token of a text's prompt how probable it was behind those before it, with `top` of the most
    /// probable ones. The first that is read has nothing before it here. A step then brings a row of logits to the host for
    /// every token of the prompt that it reads.
    pub fn tell_prompt(&mut self, id: SequenceId, top: usize) {
        if let Some(place) = self.place(id) {
            let Text { lane, told, .. } = &mut self.texts[place];
            lane.want_all();
            // Of the most probable token alone the device would tell.
            lane.set_choice(Choice::Host);
            *told = Some((top, Vec::new()));
        }
    }

    /// What steps have told of a prompt ([`tell_prompt`](Self::tell_prompt)) since the last call.
    pub fn take_told(&mut self, id: SequenceId) -> Vec<TokenLogprobs> {
        let told = self.place(id).and_then(|place| self.texts[place].told.as_mut());
        told.map(|(_, told)| mem::take(told)).unwrap_or_default()
    }

    /// A text that is here.
    pub fn sequence(&self, id: SequenceId) -> Option<&Sequence<'m>> {
        self.place(id).map(|place| &self.texts[place].sequence)
    }

    /// Its place in the model.
    pub fn lane(&mut self, id: SequenceId) -> Option<&mut Lane> {
        self.place(id).map(|place| &mut self.texts[place].lane)
    }

    /// Takes a text out, finished or not, with what was read of it.
    pub fn remove(&mut self, id: SequenceId) -> Option<(Sequence<'m>, Lane)> {
        let place = self.place(id)?;
        let Text { sequence, mut lane, .. } = self.texts.remove(place);
        lane.drop_unread();
        Some((sequence, lane))
    }

    /// Ids only grow, so that they are in order.
    fn place(&self, id: SequenceId) -> Option<usize> {
        self.texts.binary_search_by_key(&id, |text| text.id).ok()
    }

    /// Whether a text goes on. What is finished, or failed, stays until it is removed.
    pub fn has_work(&self) -> bool {
        self.texts.iter().any(|text| text.lane.unread() > 0)
    }

    /// Whether this text goes on: it has tokens to read.
    pub fn is_working(&self, id: SequenceId) -> bool {
        self.place(id).is_some_and(|place| self.texts[place].lane.unread() > 0)
    }

    /// How many tokens of a text have been read.
    pub fn read(&self, id: SequenceId) -> Option<usize> {
        self.place(id).map(|place| self.texts[place].lane.len())
    }

    /// The texts that go on, in the order in which they came.
    pub fn working(&self) -> impl Iterator<Item = Working> + '_ {
        let working = self.texts.iter().filter(|text| text.lane.unread() > 0);
        working.map(|Text { id, lane, .. }| {
            let tokens = lane.next_tokens(usize::MAX, self.llama);
            Working { id: *id, writes: lane.is_writing(), tokens }
        })
    }

    /// How many tokens of the prompts have been read, and how many there are.
    pub fn prompt_tokens(&self) -> (usize, usize) {
        let texts = self.texts.iter().map(|text| {
            let all = text.sequence.prompt().len();
            (text.lane.len().min(all), all)
        });
        texts.fold((0, 0), |sum, text| (sum.0 + text.0, sum.1 + text.1))
    }

    /// One pass. Its output is to be read and given to [`advance`](Self::advance) before the next.
    ///
    /// # Errors
    /// The device cannot hold the pass. The texts are then lost.
    pub fn step(&mut self) -> Result<StepOutput<'m>, Error> {
        self.step_of(|_| true)
    }

    /// A [`step`](Self::step) of some of the texts.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_of(&mut self, is_read: impl Fn(SequenceId) -> bool) -> Result<StepOutput<'m>, Error> {
        self.stepped.clear();
        let working = self.texts.iter_mut().filter(|text| text.lane.unread() > 0 && is_read(text.id));
        let lanes = working.map(|text| {
            self.stepped.push(text.id);
            &mut text.lane
        });
        step_within(self.llama, lanes, self.step_tokens, None)
    }

    /// Lets the texts go on by the logits of the last step, on all threads: a token for each whose prompt is read, more where a
    /// draft was right. An error is one text's own, and ends that one.
    pub fn advance(&mut self, mut logits: Logits) -> Vec<(SequenceId, Result<Event, Error>)> {
        let (mut events, mut begun, mut going) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = logits.rows().peekable();
        while let Some(&(number, _)) = rows.peek() {
            let own = iter::from_fn(|| rows.next_if(|(lane, _)| *lane == number));
            let own: Vec<Next<'_>> = own.map(|(_, next)| next).collect();
            let id = self.stepped[number];
            // One that was removed while the pass was under way is not there.
            let Some(place) = self.place(id) else {
                continue;
            };
            let own = self.texts[place].tell(own);
            if own.is_empty() {
                continue;
            }
            let mut others = self.texts[place].begin_others();
            for text in &mut others {
                let mut copies = vec![Vec::new(); own.len()];
                let rows = own.iter().zip(&mut copies).map(|(next, copy)| next.copy_to(copy));
                events.push((text.id, text.advance(rows.collect(), self.llama)));
            }
            begun.extend(others);
            going.push((id, own));
        }
        going.sort_unstable_by_key(|(id, _)| *id);
        let (llama, mut texts) = (self.llama, self.texts.iter_mut());
        let going = going.into_iter().filter_map(|(id, rows)| Some((texts.find(|text| text.id == id)?, rows)));
        let advance = |(text, rows): (&mut Text<'m>, Vec<Next<'_>>)| (text.id, text.advance(rows, llama));
        let going: Vec<_> = going.collect();
        if going.len() > 1 {
            events.par_extend(going.into_par_iter().map(advance));
        } else {
            events.extend(going.into_iter().map(advance));
        }
        self.texts.extend(begun);
        self.texts.sort_unstable_by_key(|text| text.id);
        let of_text = |(id, events): (SequenceId, Vec<_>)| events.into_iter().map(move |event| (id, event));
        events.into_iter().flat_map(of_text).collect()
    }

    /// Lets the next step read `draft` behind the newest token of a text that is being written, and check it. A draft that
    /// the text has no room for, or that would turn its tokens by other angles, is not read.
    ///
    /// # Errors
    /// An id that is not of this vocabulary.
    pub fn draft(&mut self, id: SequenceId, draft: &[u32]) -> Result<(), Error> {
        self.llama.check_ids(draft, |index| format!("number {} of a draft", index + 1))?;
        let Some(place) = self.place(id) else { return Ok(()) };
        let Text { sequence, lane, .. } = &mut self.texts[place];
        let total = sequence.ids().len() + draft.len();
        let is_waiting = lane.unread() == 1 && !lane.is_empty() && sequence.finish_reason().is_none();
        if is_waiting && draft.len() <= sequence.room_for_draft() && !self.llama.depends_on_length(total) {
            sequence.set_draft(draft);
            lane.push(draft, draft.len() + 1);
            lane.set_choice(sequence.choice(draft.len() + 1));
        }
        Ok(())
    }

    /// Notes what the last step took, by the caller's clock, in the texts that it advanced.
    pub fn took(&mut self, step: Duration) {
        for text in &mut self.texts {
            if self.stepped.binary_search(&text.id).is_ok() {
                text.sequence.took(step);
            }
        }
    }
}

impl<'m> Text<'m> {
    /// The texts that go on from here on their own, with this one's past.
    fn begin_others(&mut self) -> Vec<Self> {
        if self.others.is_empty() {
            return Vec::new();
        }
        let mut past = self.lane.shared_snapshot();
        let others = self.others.drain(..);
        let begin = |(id, sequence)| Self { id, sequence, lane: past.snapshot(), others: Vec::new(), told: None };
        others.map(begin).collect()
    }

    /// Takes the rows that tell of a token of the prompt; those that are left tell how the text goes on.
    fn tell<'r>(&mut self, rows: Vec<Next<'r>>) -> Vec<Next<'r>> {
        let Some((top, told)) = &mut self.told else { return rows };
        let (prompt, first) = (self.sequence.prompt(), self.lane.len() - rows.len());
        let mut rest = Vec::new();
        for (place, next) in rows.into_iter().enumerate() {
            match (prompt.get(first + place + 1), next) {
                (Some(&id), Next::Logits(logits)) => told.push(TokenLogprobs::new(logits, id, *top)),
                (_, next) => rest.push(next),
            }
        }
        rest
    }

    /// Goes on by what follows the tokens of a pass, and queues what it reads next, unless it ends.
    fn advance(&mut self, rows: Vec<Next<'_>>, llama: &Llama) -> Vec<Result<Event, Error>> {
        let mut events = self.sequence.advance_over(rows);
        if events.iter().all(Result::is_ok) {
            // A new token was not read yet; what the pass read of a draft beyond it was wrong.
            let is_new = matches!(events.last(), Some(Ok(Event { id: Some(_), .. })));
            let read = self.sequence.ids().len() - usize::from(is_new);
            let queued = self.lane.truncate(read).and_then(|()| match self.sequence.finish_reason() {
                None => self.queue_next(llama),
                Some(_) => Ok(()),
            });
            events.extend(queued.err().map(|error| Err(error.into())));
        }
        events
    }

    fn queue_next(&mut self, llama: &Llama) -> Result<(), CacheError> {
        let next = self.sequence.next_ids(|tokens| !llama.depends_on_length(tokens));
        match &next[..] {
            [_] => self.lane.push_newest(self.sequence.ids(), llama)?,
            drafted => self.lane.push(drafted, drafted.len()),
        }
        self.lane.set_choice(self.sequence.choice(next.len()));
        Ok(())
    }
}
