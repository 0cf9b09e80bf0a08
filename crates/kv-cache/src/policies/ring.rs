//! The policy `ring`: a sliding layer's past, and no more.

use std::{collections::HashSet, num::NonZeroUsize, ops::Range};

use glass_backend::{KeyPositions as KernelPositions, KvTensor};

use crate::{
    Appended, CacheError, InPlace, KeyPositions, KvSegment, KvView, LayerCache, SeenSlots, Window,
    buffer::Buffer,
    shared::{MIN_SHARED, Shared},
};

/// The last `capacity` tokens since the ring was begun, token `i` of those in slot `i % capacity`.
///
/// After a truncation some slots hold a token of the text that was taken back, where an older one is expected. That older
/// one is always outside the window, or the truncation would have been refused: so it is masked.
pub struct Ring {
    /// What forks have in common: the tokens before the ring was begun, as far as a window reaches.
    shared: Shared,
    own: Buffer,
    window: NonZeroUsize,
    /// The window, and as many more as the cache may go back by.
    capacity: usize,
    /// Tokens before this one, counted from the beginning of the ring, have been written over.
    lost: usize,
    max: usize,
}

impl Ring {
    /// A tensor holds `max` tokens at most.
    pub fn new(window: NonZeroUsize, max: usize) -> Self {
        Self {
            shared: Shared::default(),
            own: Buffer::new(max.min(window.get())),
            window,
            capacity: window.get(),
            lost: 0,
            max,
        }
    }

    fn window(&self) -> Window {
        Window::Last(self.window)
    }

    /// These positions, counted from the beginning of the ring.
    fn tokens(&self, positions: &Range<usize>) -> Range<usize> {
        let begin = self.shared.end();
        positions.start - begin..positions.end - begin
    }

    /// The slots that these tokens go to, from this one on, if they push out nothing that they see: until the ring has gone round
    /// once, it is a buffer like any other, and one token pushes out the one that it no longer sees.
    fn slot(&self, tokens: &Range<usize>) -> Option<usize> {
        let pushes_none = tokens.end <= self.capacity || tokens.len() == 1;
        pushes_none.then(|| tokens.start % self.capacity)
    }

    /// What is shared of what the queries at `positions` may see. What none sees any more is forgotten.
    fn before(&mut self, positions: &Range<usize>) -> Vec<KvSegment> {
        let seen = self.window().seen_by(positions.clone());
        let spare = self.capacity - self.window.get();
        self.shared.forget_before(seen.start.saturating_sub(spare));
        self.lost = self.lost.max(self.tokens(positions).end.saturating_sub(self.capacity));
        self.shared.segments(seen.start..self.shared.end(), self.window()).collect()
    }

    /// The ring's own part of what the queries at `positions` may see, when they are in their [`slot`](Self::slot).
    fn own(&self, positions: &Range<usize>) -> Vec<KvSegment> {
        let (begin, window, capacity) = (self.shared.end(), self.window(), self.capacity);
        let tokens = self.tokens(positions);
        if tokens.end <= capacity {
            let [k, v] = self.own.read(0, tokens.end); // [1, kv_heads, tokens, head_dim]
            return vec![KvSegment::run(k, v, begin..positions.end, window)];
        }
        if begin == 0 {
            let [k, v] = self.own.read(0, capacity); // [1, kv_heads, capacity, head_dim]
            let (end, len) = (positions.end, capacity);
            return vec![KvSegment::new(k, v, KeyPositions::Ring { end, len }, window)];
        }
        let held = tokens.end - capacity..tokens.end;
        let mut from = positions.end - capacity;
        let run = |slots: Range<usize>| {
            let [k, v] = self.own.read(slots.start, slots.len()); // [1, kv_heads, slots, head_dim]
            from += slots.len();
            KvSegment::run(k, v, from - slots.len()..from, window)
        };
        slots(held, capacity).map(run).collect()
    }

    /// The same where nothing is shared.
    fn seen(&self, positions: &Range<usize>) -> Option<SeenSlots> {
        let (end, len) = (positions.end, self.capacity);
        let (keys, held) = if end <= len {
            (end, KernelPositions::Run { first: 0 })
        } else {
            (len, KernelPositions::Ring { end, len })
        };
        let window = self.window().span();
        let seen = SeenSlots { keys, positions: held, window, first_query: positions.start };
        (self.shared.end() == 0).then_some(seen)
    }

    /// The same of tokens that push out what the first of them still see: that is read before, in order.
    fn append_over(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> Vec<KvSegment> {
        let (begin, window, capacity) = (self.shared.end(), self.window(), self.capacity);
        let tokens = self.tokens(&positions);
        let seq = tokens.len();
        let own = &mut self.own;
        let past = tokens.start - tokens.start.min(self.window.get() - 1)..tokens.start;
        let parts = slots(past.clone(), capacity).map(|slots| own.read(slots.start, slots.len()));
        let parts = parts.chain([[k.clone(), v.clone()]]);
        let (keys, values) = parts.map(|[k, v]| (k, v)).unzip();

        let kept = tokens.end - seq.min(capacity)..tokens.end;
        let mut from = kept.start - tokens.start;
        for slots in slots(kept, capacity) {
            let part = |x: &KvTensor| x.clone().narrow(from, slots.len());
            own.write(slots.start, part(&k), part(&v));
            from += slots.len();
        }
        let (k, v) = (KvTensor::cat(keys), KvTensor::cat(values)); // [1, kv_heads, past + seq, head_dim]
        vec![KvSegment::run(k, v, begin + past.start..positions.end, window)]
    }

    /// Everything that queries from `len` on may see, in one run: its first position, keys and values.
    fn unroll(&self, len: usize) -> (usize, [KvTensor; 2]) {
        let begin = self.shared.end();
        let end = len - begin;
        let held = self.lost.max(end.saturating_sub(self.capacity))..end;
        let parts = slots(held.clone(), self.capacity).map(|slots| self.own.read(slots.start, slots.len()));
        let (keys, values): (Vec<_>, Vec<_>) = parts.map(|[k, v]| (k, v)).unzip();
        let kv = [KvTensor::cat(keys), KvTensor::cat(values)]; // [1, kv_heads, held, head_dim]
        (begin + held.start, kv)
    }

    /// [`LayerCache::fork`].
    pub fn fork_ring(&mut self, len: usize) -> Self {
        let used = (len - self.shared.end()).min(self.capacity);
        if used >= MIN_SHARED {
            let (first, kv) = self.unroll(len);
            if first > self.shared.end() {
                self.shared.forget_before(first); // what lies between is lost: nobody sees what lies before
            }
            self.own.take();
            self.lost = 0;
            self.shared.push(kv, first..len);
        }
        let used = (len - self.shared.end()).min(self.capacity);
        Self { shared: self.shared.clone(), own: self.own.copy(0..used), ..*self }
    }

    /// [`LayerCache::snapshot`]: slot by slot, because the order of the slots is that of the sums.
    pub fn snapshot_ring(&self, len: usize) -> Self {
        let used = (len - self.shared.end()).min(self.capacity);
        Self { shared: self.shared.clone(), own: self.own.copy(0..used), ..*self }
    }
}

impl LayerCache for Ring {
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        let mut segments = self.before(&positions);
        match self.slot(&self.tokens(&positions)) {
            Some(slot) => {
                self.own.write(slot, k, v);
                segments.extend(self.own(&positions));
            }
            None => segments.extend(self.append_over(k, v, positions)),
        }
        KvView { segments }
    }

    fn append_in_place(&mut self, new: &mut InPlace<'_>, positions: Range<usize>) -> Appended {
        let Some(slot) = self.slot(&self.tokens(&positions)) else { return Appended::Not };
        let mut segments = self.before(&positions);
        let written = self.own.write_in_place(slot, new, self.seen(&positions));
        Appended::new(written, || {
            segments.extend(self.own(&positions));
            KvView { segments }
        })
    }

    fn reserve(&mut self, tokens: usize) {
        self.own.reserve(tokens.min(self.capacity));
    }

    fn reserve_rollback(&mut self, tokens: usize) -> Result<(), CacheError> {
        self.capacity = self.window.get().saturating_add(tokens);
        self.own = Buffer::new(self.max.min(self.capacity));
        Ok(())
    }

    fn can_truncate(&self, len: usize) -> bool {
        let (first_seen, begin) = (self.window().first_seen(len), self.shared.end());
        let own = len <= begin || self.lost <= first_seen.saturating_sub(begin);
        let shared = first_seen >= begin || self.shared.start() <= first_seen;
        first_seen == len || own && shared
    }

    /// No state has to be moved: a slot is known by its token.
    fn truncate(&mut self, len: usize) {
        self.shared.truncate(len);
        self.lost = self.lost.min(len - self.shared.end());
    }

    fn fork(&mut self, len: usize) -> Box<dyn LayerCache> {
        Box::new(self.fork_ring(len))
    }

    fn snapshot(&mut self, len: usize) -> Box<dyn LayerCache> {
        Box::new(self.snapshot_ring(len))
    }

    fn bytes(&self) -> u64 {
        self.shared.bytes() + self.own.bytes()
    }

    fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        self.shared.bytes_beside(counted) + self.own.bytes()
    }

    fn states(&self, tokens: usize) -> usize {
        tokens.min(self.capacity)
    }
}

/// The slots that hold these tokens (at most `capacity` of them) in a ring: one run, or two around the seam.
fn slots(tokens: Range<usize>, capacity: usize) -> impl Iterator<Item = Range<usize>> {
    let start = tokens.start % capacity;
    let end = start + tokens.len();
    [start..end.min(capacity), 0..end.saturating_sub(capacity)].into_iter().filter(|slots| !slots.is_empty())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use glass_backend::Device;

    use super::*;

    /// Queries see `W - 1` older keys and their own piece: scores of a piece are `seq x (W - 1 + seq)` at most, however
    /// much was read before.
    #[test]
    fn append_returns_the_window_and_the_chunk() {
        let device = Device::open("flex").expect("it is built in");
        for w in [1, 2, 3, 7] {
            for seq in [1, 2, 5, 7, 8, 20] {
                let len = NonZeroUsize::new(w).expect("W is at least 1");
                let mut ring = Ring::new(len, usize::MAX);
                for start in (0..100).step_by(seq) {
                    let kv = KvTensor::from(Tensor::<4>::zeros([1, 1, seq, 2], device.burn()));
                    let kv = ring.append(kv.clone(), kv, start..start + seq);
                    let [segment] = &kv.segments[..] else { panic!("{} segments", kv.segments.len()) };
                    let keys = segment.keys();
                    assert_eq!(segment.v.dims()[2], keys);
                    assert!(keys < w + seq, "W {w}, {seq}: {keys} keys");
                    let held = match segment.positions.clone() {
                        KeyPositions::Run(run) => run,
                        KeyPositions::Ring { end, len } => end - len..end,
                        KeyPositions::Listed(_) => panic!("a ring has an order"),
                    };
                    assert_eq!(held.len(), keys);
                    assert_eq!(held, Window::Last(len).seen_by(start..start + seq));
                }
            }
        }
    }

    /// Against a list of what each place holds: a ring goes back exactly as far as what is seen from there is held.
    #[test]
    fn truncate_goes_back_as_far_as_the_slots_hold_what_is_seen() {
        let device = Device::open("flex").expect("it is built in");
        let (mut refused, mut went) = (0, 0);
        for (w, more) in [(1, 0), (3, 0), (3, 1), (3, 4), (7, 2), (2, 9)] {
            let len = NonZeroUsize::new(w).expect("W is at least 1");
            for turn in 0..60usize {
                let mut ring = Ring::new(len, usize::MAX);
                ring.reserve_rollback(more).expect("a ring can go back");
                let mut held = vec![None; w + more];
                let (mut end, mut furthest) = (0, 0);
                for step in 1..30usize {
                    let seq = 1 + turn * step % 5;
                    let kv = KvTensor::from(Tensor::<4>::zeros([1, 1, seq, 2], device.burn()));
                    ring.append(kv.clone(), kv, end..end + seq);
                    for position in end..end + seq {
                        held[position % (w + more)] = Some(position);
                    }
                    end += seq;
                    furthest = furthest.max(end);
                    let back = end - (turn + step * step) % 7.min(end + 1);
                    let seen = Window::Last(len).first_seen(back)..back;
                    let there = seen.into_iter().all(|p| held[p % (w + more)] == Some(p));
                    assert_eq!(ring.can_truncate(back), there, "{w}+{more}: {end} to {back}");
                    assert!(there || furthest - back > more + 1, "{w}+{more}: {end} to {back}");
                    if there {
                        went += 1;
                        ring.truncate(back);
                        end = back;
                    } else {
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > 100 && went > 100, "{refused} {went}");
    }
}
