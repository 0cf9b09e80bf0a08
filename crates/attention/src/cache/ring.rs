//! The policy `ring`: a sliding layer's past, and no more.

use std::{num::NonZeroUsize, ops::Range};

use burn::tensor::Tensor;
use glass_backend::Device;

use super::{
    CacheError, LayerCache, Selection,
    buffer::{Buffer, PositionLimit},
    layer::fits,
};
use crate::{Call, Keys, Step, Window, attend_in_blocks};

/// The last `room` positions, position `p` at place `p % room`.
///
/// After a truncation some places hold a position of the text that was taken back, where an older one is expected. That
/// older one is always outside the window, or the truncation would have been refused: so it is masked.
pub(super) struct Ring {
    buffer: Buffer,
    /// The window.
    len: NonZeroUsize,
    /// `len` places, and as many more as the cache may go back by.
    room: usize,
    /// Positions before this one have been written over.
    lost: usize,
    limit: Option<PositionLimit>,
}

impl Ring {
    /// `len` is the window's.
    pub fn new(len: NonZeroUsize, limit: Option<PositionLimit>) -> Self {
        Self {
            buffer: Buffer::new(most(len.get(), limit)),
            len,
            room: len.get(),
            lost: 0,
            limit,
        }
    }

    /// Remembers the keys and values of `slots` and returns those that the queries there may see, themselves included.
    ///
    /// `k` and `v` `[batch, kv_heads, seq, head_dim]` -> `[batch, kv_heads, keys, head_dim]` each
    pub fn update(
        &mut self,
        k: Tensor<4>,
        v: Tensor<4>,
        slots: Range<usize>,
    ) -> (Tensor<4>, Tensor<4>, Keys) {
        let (len, room) = (self.len.get(), self.room);
        let seq = slots.len();
        self.lost = self.lost.max(slots.end.saturating_sub(room));
        let buffer = &mut self.buffer;
        // Until the ring has gone round once, it is a buffer like any other.
        if slots.end <= room {
            buffer.write(slots.start, k, v);
            let (k, v) = buffer.read(0, slots.end);
            return (k, v, Keys::Run(0..slots.end));
        }
        // One token pushes out the one position that it no longer sees: what is left is what it may see.
        if seq == 1 {
            buffer.write(slots.start % room, k, v);
            let (k, v) = buffer.read(0, room);
            let end = slots.end;
            return (k, v, Keys::Ring { end, len: room });
        }
        // More tokens would push out what the first of them still see, so those are read before, in order.
        let past = slots.start - slots.start.min(len - 1)..slots.start;
        let mut parts: Vec<_> = places(past.clone(), room)
            .map(|place| buffer.read(place.start, place.len()))
            .collect();
        parts.push((k.clone(), v.clone()));
        let (keys, values): (Vec<_>, Vec<_>) = parts.into_iter().unzip();

        let kept = slots.end - seq.min(room)..slots.end;
        let mut from = kept.start - slots.start;
        for place in places(kept, room) {
            buffer.write(
                place.start,
                k.clone().narrow(2, from, place.len()),
                v.clone().narrow(2, from, place.len()),
            );
            from += place.len();
        }
        let all = Keys::Run(past.start..slots.end);
        (Tensor::cat(keys, 2), Tensor::cat(values, 2), all) // [batch, kv_heads, past + seq, head_dim]
    }
}

impl LayerCache for Ring {
    fn attend(
        &mut self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        call: &mut Call<'_>,
    ) -> Tensor<4> {
        let (q, slots) = (call.pass.rotate(q), call.pass.slots());
        call.observer.done(Step::Rope);
        let (k, v, keys) = self.update(k, v, slots.clone());
        call.observer.done(Step::Cache);
        attend_in_blocks(q, k, v, &keys, Window::Last(self.len), slots, call)
    }

    fn reserve(&mut self, positions: usize) {
        self.buffer.reserve(positions.min(self.room));
    }

    fn set_batch(&mut self, before: usize, after: usize) {
        self.limit = self.limit.map(|limit| limit.for_batch(before, after));
        let most = self.limit.map_or(usize::MAX, |limit| limit.positions);
        self.buffer.limit(self.len.get().min(most));
    }

    fn select(&mut self, selection: &Selection) {
        let Some(slots) = selection.differs() else {
            self.buffer.select(selection.index());
            return;
        };
        // Before it has gone round once, places are slots; from then on all places are in use.
        let len = self.buffer.capacity();
        let held = slots.start.max(slots.end.saturating_sub(len))..slots.end;
        for places in places(held, len) {
            self.buffer.select_at(selection.index(), places);
        }
    }

    fn bytes(&self) -> u64 {
        self.buffer.bytes()
    }

    fn keep_more(&mut self, slots: usize) -> Result<(), CacheError> {
        self.room = self.len.get().saturating_add(slots);
        self.buffer = Buffer::new(most(self.room, self.limit));
        Ok(())
    }

    fn can_truncate(&self, slots: usize) -> bool {
        let first_seen = Window::Last(self.len).first_seen(slots);
        self.lost <= first_seen || first_seen == slots
    }

    /// No state has to be moved: a place is known by its position.
    fn truncate(&mut self, slots: usize) {
        self.lost = self.lost.min(slots);
    }

    fn check(&self, positions: usize, device: &Device) -> Result<(), CacheError> {
        fits(positions.min(self.room), self.limit, device)
    }
}

/// What the buffer of `room` places may grow to.
fn most(room: usize, limit: Option<PositionLimit>) -> usize {
    room.min(limit.map_or(usize::MAX, |limit| limit.positions))
}

/// Where a ring of `room` keeps these positions (at most `room` of them): a run of places, or two around the seam.
fn places(positions: Range<usize>, room: usize) -> impl Iterator<Item = Range<usize>> {
    let start = positions.start % room;
    let end = start + positions.len();
    [start..end.min(room), 0..end.saturating_sub(room)]
        .into_iter()
        .filter(|place| !place.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries see `W - 1` older keys and their own piece: scores of a piece are `seq x (W - 1 + seq)` at most, however
    /// much was read before.
    #[test]
    fn a_piece_is_scored_against_its_window_and_itself() {
        let device = Device::open("flex").expect("it is built in");
        for w in [1, 2, 3, 7] {
            for seq in [1, 2, 5, 7, 8, 20] {
                let len = NonZeroUsize::new(w).expect("W is at least 1");
                let mut ring = Ring::new(len, None);
                for start in (0..100).step_by(seq) {
                    let kv = Tensor::<4>::zeros([1, 1, seq, 2], device.burn());
                    let (k, v, keys) = ring.update(kv.clone(), kv, start..start + seq);
                    assert_eq!([k.dims()[2], v.dims()[2]], [keys.len(); 2]);
                    assert!(keys.len() < w + seq, "W {w}, {seq}: {} keys", keys.len());
                    let mut positions: Vec<_> = keys.positions().collect();
                    positions.sort_unstable();
                    let reach = Window::Last(len).seen_by(start..start + seq);
                    assert_eq!(positions, reach.collect::<Vec<_>>());
                }
            }
        }
    }

    /// Against a list of what each place holds: a ring goes back exactly as far as what is seen from there is held.
    #[test]
    fn it_goes_back_as_far_as_its_places_hold_what_is_seen() {
        let device = Device::open("flex").expect("it is built in");
        let (mut refused, mut went) = (0, 0);
        for (w, more) in [(1, 0), (3, 0), (3, 1), (3, 4), (7, 2), (2, 9)] {
            let len = NonZeroUsize::new(w).expect("W is at least 1");
            for turn in 0..60usize {
                let mut ring = Ring::new(len, None);
                ring.keep_more(more).expect("a ring can go back");
                let mut held = vec![None; w + more];
                let (mut end, mut furthest) = (0, 0);
                for step in 1..30usize {
                    let seq = 1 + turn * step % 5;
                    let kv = Tensor::<4>::zeros([1, 1, seq, 2], device.burn());
                    ring.update(kv.clone(), kv, end..end + seq);
                    for position in end..end + seq {
                        held[position % (w + more)] = Some(position);
                    }
                    end += seq;
                    furthest = furthest.max(end);
                    let back = end - (turn + step * step) % 7.min(end + 1);
                    let seen = Window::Last(len).first_seen(back)..back;
                    let there = seen.into_iter().all(|p| held[p % (w + more)] == Some(p));
                    assert_eq!(
                        ring.can_truncate(back),
                        there,
                        "{w}+{more}: {end} to {back}"
                    );
                    assert!(
                        there || furthest - back > more + 1,
                        "{w}+{more}: {end} to {back}"
                    );
                    match there {
                        false => refused += 1,
                        true => {
                            went += 1;
                            ring.truncate(back);
                            end = back;
                        }
                    }
                }
            }
        }
        assert!(refused > 100 && went > 100, "{refused} {went}");
    }
}
