//! Where a prompt begins: behind what was read of it before, or is being read for somebody else.

use std::mem;

use glass_generate::{Error, Lane, Sequence};

use super::{
    Reuse,
    active::{Active, Held, Phase},
    prefixes::common,
    service::Limits,
    worker::{RESERVED, Worker},
};

impl Worker<'_> {
    /// Lets a request begin, unless what it would read is being read: then it begins behind that.
    pub(super) fn place(&mut self, index: usize) -> Result<(), Error> {
        let held = match &self.active[index].phase {
            Phase::Outside(_, held) => *held,
            Phase::Reading(_) | Phase::Writing => return Ok(()),
        };
        if held.is_some_and(|held| self.is_on_its_way(held)) {
            return Ok(());
        }
        if self.active[index].shares && self.waits_for_another(index)? {
            return Ok(());
        }
        let active = &mut self.active[index];
        let Phase::Outside(sequences, _) = &mut active.phase else { unreachable!("it was looked at above") };
        if let Some(reason) = sequences.first().and_then(Sequence::finish_reason) {
            let texts = sequences.len();
            active.finish_at_once(reason);
            self.note(|state| state.texts -= texts);
            return Ok(());
        }
        let Limits { options, prefill, .. } = self.limits;
        let grain = match options.reuse {
            Reuse::Exact => prefill.prefill_chunk.get(),
            Reuse::Everything => 1,
        };
        let (prompt, total) = (&active.request.ids, active.request.total);
        let mut lane = match active.shares {
            true => self.prefixes.begin(prompt, grain, self.llama, prefill)?,
            false => Lane::new(self.llama, prefill)?,
        };
        if let Some(draft) = active.request.options.prompt_lookup {
            lane.reserve_rollback(draft.get())?;
        }
        let cached = lane.len();
        lane.reserve(total, total.min(prompt.len() + RESERVED))?;
        let mut sequences = mem::take(sequences);
        let first = sequences.remove(0);
        let ids = self.engine.add_all(first, sequences, lane)?;
        if let Some(top) = active.request.prompt_logprobs {
            self.engine.tell_prompt(ids[0], top);
        }
        active.begin(cached, &ids);
        self.note(|state| state.stats.cached_tokens += cached as u64);
        Ok(())
    }

    fn piece(&self) -> usize {
        self.limits.prefill.prefill_chunk.get()
    }

    /// Whether the one who reads the same has not come as far yet.
    fn is_on_its_way(&self, held: Held) -> bool {
        let by = self.active.iter().find(|active| active.number == held.by);
        by.and_then(|by| self.read(by)).is_some_and(|read| read < held.until)
    }

    /// How many tokens of its prompt a request has read; `None`: it reads no more of it.
    fn read(&self, active: &Active<'_>) -> Option<usize> {
        match &active.phase {
            Phase::Outside(..) => Some(0),
            Phase::Reading(id) => self.engine.read(*id),
            Phase::Writing => None,
        }
    }

    /// Whether somebody who came before reads more of the prompt's beginning than is kept. Where that has been read already,
    /// it is kept now.
    fn waits_for_another(&mut self, index: usize) -> Result<bool, Error> {
        let (before, after) = self.active.split_at(index);
        let Some(active) = after.first() else { unreachable!("the index is one of a request") };
        let (prompt, piece) = (&active.request.ids, self.piece());
        let shared = |by: &Active<'_>| {
            let common = common(prompt, &by.request.ids).min(prompt.len() - 1);
            (by.shares && self.read(by).is_some()).then_some(common / piece * piece)
        };
        let shared = before.iter().enumerate().filter_map(|(place, by)| Some((place, shared(by)?)));
        let Some((place, until)) = shared.max_by_key(|&(place, until)| (until, usize::MAX - place)) else {
            return Ok(false);
        };
        if until <= self.prefixes.longest(prompt, piece) {
            return Ok(false);
        }
        let by = &before[place];
        if self.read(by).is_some_and(|read| read < until) {
            let held = Held { by: by.number, until };
            if let Phase::Outside(_, waits) = &mut self.active[index].phase {
                *waits = Some(held);
            }
            return Ok(true);
        }
        let id = by.reading();
        let kept = id.and_then(|id| self.engine.lane(id)).filter(|lane| lane.can_truncate(until));
        if let Some(lane) = kept {
            let mut lane = lane.snapshot();
            lane.truncate(until)?;
            self.prefixes.keep(&self.active[index].request.ids[..until], lane);
        }
        Ok(false)
    }

    /// Keeps what a request has read of its prompt, if others may begin there: behind the last whole piece; where somebody
    /// waits for it; and behind every piece, if a layer forgets what a way back to it would need.
    pub(super) fn keep(&mut self, index: usize) -> Result<(), Error> {
        let piece = self.piece();
        let active = &self.active[index];
        let prompt = &active.request.ids;
        let Some(lane) = active.reading().and_then(|id| self.engine.lane(id)) else { return Ok(()) };
        let read = lane.len();
        if !active.shares || read == 0 || !read.is_multiple_of(piece) || read > prompt.len() {
            return Ok(());
        }
        let held = Held { by: active.number, until: read };
        let is_last = read == prompt.len() / piece * piece;
        let waited_for =
            || self.active.iter().any(|other| matches!(other.phase, Phase::Outside(_, Some(waits)) if waits == held));
        if !(is_last || self.forgets || waited_for()) || self.prefixes.has(&prompt[..read]) {
            return Ok(());
        }
        let kept = lane.shared_snapshot();
        let total = active.request.total;
        lane.reserve(total, total.min(prompt.len() + RESERVED))?;
        self.prefixes.keep(&prompt[..read], kept);
        Ok(())
    }
}
