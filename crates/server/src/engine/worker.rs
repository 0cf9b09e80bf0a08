//! The thread that computes: what happens between two steps.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, TryRecvError},
    time::Instant,
};

use glass_generate::{Engine, Error, Event as TextEvent, Llama, Passes, SequenceId, Working};

use super::{
    Event, Reuse,
    active::{Active, Phase},
    arrival::{Ready, Work},
    prefixes::Prefixes,
    service::Limits,
    shared::{Shared, State},
};

/// New tokens that a cache makes room for at once; most texts end before.
pub(super) const RESERVED: usize = 1024;

pub(super) struct Worker<'m> {
    pub(super) llama: &'m Llama,
    pub(super) limits: Limits,
    shared: &'m Shared,
    pub(super) engine: Engine<'m>,
    waiting: VecDeque<Ready<'m>>,
    /// In the order in which they came.
    pub(super) active: Vec<Active<'m>>,
    pub(super) prefixes: Prefixes,
    passes: Passes,
    /// Whether a layer does not keep all of a text.
    pub(super) forgets: bool,
    /// Requests so far.
    requests: u64,
    /// When all have to end.
    deadline: Option<Instant>,
}

impl<'m> Worker<'m> {
    pub fn new(llama: &'m Llama, limits: Limits, shared: &'m Shared) -> Self {
        Self {
            llama,
            limits,
            shared,
            engine: Engine::new(llama),
            waiting: VecDeque::new(),
            active: Vec::new(),
            prefixes: Prefixes::new(limits.options.cache_memory),
            passes: Passes::new(llama, limits.prefill.prefill_chunk.get()),
            forgets: !limits.options.cache.keeps_everything(&llama.config),
            requests: 0,
            deadline: None,
        }
    }

    /// Computes until the end.
    pub fn run(mut self, work: &Receiver<Work<'m>>) {
        loop {
            self.take_in(work);
            self.let_go();
            if self.deadline.is_some_and(|deadline| self.is_idle() || deadline <= Instant::now()) {
                break;
            }
            self.admit();
            for index in 0..self.active.len() {
                if let Err(error) = self.place(index) {
                    self.fail(index, &error);
                }
            }
            self.drop_ended();
            if let Err(error) = self.step() {
                self.lose_all(&error);
            }
            self.drop_ended();
            self.note(|_| {});
        }
        let requests = self.active.iter().map(|active| &active.request);
        for request in requests.chain(self.waiting.iter().map(|ready| &ready.arrival)) {
            let reason = "the server is shutting down".to_owned();
            let _ = request.events.send(Event::Failed { reason, of_request: false });
        }
    }

    fn is_idle(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }

    /// Takes what has arrived; waits for it where there is nothing else to do.
    fn take_in(&mut self, work: &Receiver<Work<'m>>) {
        let mut next = match self.is_idle() && self.deadline.is_none() {
            true => work.recv().map_err(|_| TryRecvError::Disconnected),
            false => work.try_recv(),
        };
        loop {
            match next {
                Ok(Work::Request(ready)) => self.waiting.push_back(*ready),
                Ok(Work::Job(job)) => job(self.llama),
                Ok(Work::Close(deadline)) => self.close(deadline),
                Err(TryRecvError::Empty) => return,
                // The service was dropped.
                Err(TryRecvError::Disconnected) => return self.close(Instant::now()),
            }
            next = work.try_recv();
        }
    }

    fn close(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    /// Requests that nobody waits for any more give their places back.
    fn let_go(&mut self) {
        let (waiting, left): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|ready| !ready.arrival.events.is_closed());
        self.waiting = waiting.into();
        let gone = self.active.extract_if(.., |active| active.request.events.is_closed());
        let gone: Vec<Active<'_>> = gone.collect();
        for choice in gone.iter().flat_map(|active| &active.choices) {
            self.engine.remove(choice.id);
        }
        let texts = gone.iter().map(Active::texts).chain(left.iter().map(|ready| ready.arrival.n)).sum::<usize>();
        let abandoned = gone.len() + left.len();
        if abandoned > 0 {
            self.note(|state| {
                state.texts -= texts;
                state.stats.waiting -= left.len();
                state.stats.abandoned += abandoned as u64;
            });
        }
    }

    /// Those whose turn it is, in their order, as far as places and memory go.
    fn admit(&mut self) {
        while let Some(next) = self.waiting.front() {
            let texts: usize = self.active.iter().map(Active::texts).sum();
            let fits = texts + next.arrival.n <= self.limits.parallel;
            let bytes = next.arrival.text_bytes.saturating_mul(next.arrival.n as u64);
            if !fits || self.planned_bytes().saturating_add(bytes) > self.limits.memory {
                return;
            }
            let Some(ready) = self.waiting.pop_front() else { unreachable!("it is in front") };
            let shares = self.limits.options.cache_memory > 0
                && ready.arrival.options.prompt_lookup.is_none()
                && ready.arrival.prompt_logprobs.is_none()
                && !self.llama.depends_on_length(ready.arrival.ids.len());
            self.requests += 1;
            self.note(|state| {
                state.stats.waiting -= 1;
                state.stats.prompt_tokens += ready.arrival.ids.len() as u64;
            });
            self.active.push(Active::new(ready, self.requests, shares));
        }
    }

    fn planned_bytes(&self) -> u64 {
        self.active.iter().fold(0, |sum, active| sum.saturating_add(active.bytes()))
    }

    /// One token of every text, and pieces of prompts.
    fn step(&mut self) -> Result<(), Error> {
        let working: Vec<Working> = self.engine.working().collect();
        if working.is_empty() {
            return Ok(());
        }
        for pass in self.passes.plan(&working) {
            let logits = self.engine.step_of(|id| pass.contains(&id))?.read()?;
            // Before anybody goes on from there.
            for index in 0..self.active.len() {
                if self.active[index].reading().is_some_and(|id| pass.contains(&id)) {
                    self.keep(index)?;
                }
            }
            let events = self.engine.advance(logits);
            self.tell_prompts();
            for (id, event) in events {
                self.hear(id, event)?;
            }
        }
        self.note(|state| state.stats.steps += 1);
        Ok(())
    }

    /// Hands on what a pass told of prompts, before anything is heard of their texts.
    fn tell_prompts(&mut self) {
        for active in self.active.iter().filter(|active| active.request.prompt_logprobs.is_some()) {
            let told = active.reading().map(|id| self.engine.take_told(id)).unwrap_or_default();
            if !told.is_empty() {
                active.tell(Event::Prompt(told));
            }
        }
    }

    /// What a pass brought to a text.
    fn hear(&mut self, id: SequenceId, event: Result<TextEvent, Error>) -> Result<(), Error> {
        let place = self.active.iter().enumerate().find_map(|(index, active)| {
            let choice = active.choices.iter().position(|choice| choice.id == id)?;
            Some((index, choice))
        });
        // Another text of the request may have failed.
        let Some((index, choice)) = place else { return Ok(()) };
        let TextEvent { id: token, text, finish } = match event {
            Ok(event) => event,
            Err(error) => {
                self.fail(index, &error);
                return Ok(());
            }
        };
        let active = &mut self.active[index];
        let logprobs = self.engine.sequence(id).and_then(|sequence| sequence.logprobs());
        let logprobs = logprobs.and_then(|all| all.get(active.choices[choice].tokens)).cloned();
        let total = active.request.total;
        if active.token(choice, token, text, logprobs) {
            // Where several texts begin, each has a cache of its own from here on.
            for choice in &active.choices {
                if let Some(lane) = self.engine.lane(choice.id) {
                    lane.reserve(total, total.min(lane.len() + RESERVED))?;
                }
            }
        }
        if let Some(reason) = finish {
            active.finish(choice, reason);
            self.leave(index, id)?;
        }
        self.note(|state| {
            state.stats.generated_tokens += u64::from(token.is_some());
            state.texts -= usize::from(finish.is_some());
        });
        Ok(())
    }

    /// A text is over; what was read of it may be kept.
    fn leave(&mut self, index: usize, id: SequenceId) -> Result<(), Error> {
        let Some((sequence, mut lane)) = self.engine.remove(id) else { return Ok(()) };
        let keeps = self.limits.options.reuse == Reuse::Everything && self.active[index].shares;
        if keeps && !self.llama.depends_on_length(lane.len()) {
            // A draft that was read and not taken is no part of it.
            lane.truncate(lane.len().min(sequence.ids().len()))?;
            let read = &sequence.ids()[..lane.len()];
            if !self.prefixes.has(read) {
                self.prefixes.keep(read, lane.snapshot());
            }
        }
        Ok(())
    }

    /// Ends a request with an error; its place is dropped by [`drop_ended`](Self::drop_ended).
    fn fail(&mut self, index: usize, error: &Error) {
        let active = &mut self.active[index];
        active.tell(Event::failed(error));
        let texts = active.texts();
        for choice in active.choices.drain(..) {
            self.engine.remove(choice.id);
        }
        active.phase = Phase::Writing;
        active.failed = true;
        self.note(|state| state.texts -= texts);
    }

    /// The device failed: nothing that it holds can be relied on.
    fn lose_all(&mut self, error: &Error) {
        for index in 0..self.active.len() {
            if self.active[index].texts() > 0 {
                self.fail(index, error);
            }
        }
        self.engine = Engine::new(self.llama);
        self.prefixes.clear();
    }

    /// Requests without a text that goes on are over.
    fn drop_ended(&mut self) {
        let ended = self.active.extract_if(.., |active| active.texts() == 0);
        let ended: Vec<Active<'_>> = ended.collect();
        if ended.is_empty() {
            return;
        }
        self.note(|state| {
            for active in &ended {
                if active.failed {
                    state.stats.failed += 1;
                    continue;
                }
                state.stats.finished += 1;
                let seconds = active.began.elapsed().as_secs_f64();
                let weight = if state.stats.finished == 1 { 1.0 } else { 0.1 };
                state.seconds += (seconds - state.seconds) * weight;
            }
        });
    }

    /// Changes what both sides see, and brings the rest of it up to date.
    pub(super) fn note(&self, change: impl FnOnce(&mut State)) {
        let running = self.active.iter().map(Active::texts).sum();
        let mut state = self.shared.state();
        change(&mut state);
        let stats = &mut state.stats;
        stats.running = running;
        stats.planned_bytes = self.planned_bytes();
        stats.cache_bytes = self.prefixes.bytes();
        stats.cache_entries = self.prefixes.len();
    }
}
