//! The policy `sinks:S+W`: the first tokens, and the last.

use std::{num::NonZeroUsize, ops::Range};

use burn::tensor::{Bool, Tensor, TensorData};
use glass_backend::Device;

use super::{
    CacheError, LayerCache, Selection,
    buffer::{PositionLimit, bytes},
    layer::fits,
    ring::Ring,
};
use crate::{
    Call, Pass, Window,
    blocks::{join, narrow},
    mix, probabilities, scores,
};

/// StreamingLLM: Xiao et al. 2023, arXiv:2309.17453. Models put attention that they have no other use for on the first
/// tokens; a window that has lost those breaks down. So the first S tokens are kept beside the last W, and positions are
/// counted within the cache: no distance is ever larger than S + W - 1, however long the text.
///
/// What rotary embeddings make of positions are distances, so nothing that is kept has to be turned again. Between the
/// last W tokens, distances are what they are in the text. To the sinks, which stand at 0 .. S - 1 in both ways of
/// counting, a query measures from where it stands in the cache: at most at S + W - 1. It is turned twice, once for each
/// part of its keys.
pub(super) struct Sinks {
    sinks: usize,
    /// `[batch, kv_heads, S, head_dim]` each, from the first pass on.
    first: Option<(Tensor<4>, Tensor<4>)>,
    /// The slots that the sinks stand in, for every row; one row if all are alike.
    slots: Vec<Vec<usize>>,
    last: Ring,
    window: NonZeroUsize,
    limit: Option<PositionLimit>,
}

impl Sinks {
    pub fn new(sinks: NonZeroUsize, window: NonZeroUsize, limit: Option<PositionLimit>) -> Self {
        Self {
            sinks: sinks.get(),
            first: None,
            slots: Vec::new(),
            last: Ring::new(window, limit),
            window,
            limit,
        }
    }

    /// Keeps those of the pass's tokens that are among the first S of their row.
    fn keep_first(&mut self, k: &Tensor<4>, v: &Tensor<4>, pass: &Pass) {
        let [batch, kv_heads, _, head_dim] = k.dims();
        let (rows, start) = (pass.positions(), pass.slots().start);
        self.slots.resize(rows.len(), Vec::new());
        let (mut keys, mut values) = self.first.take().unwrap_or_else(|| {
            let room = k
                .clone()
                .narrow(2, 0, 1)
                .zeros_like()
                .repeat_dim(2, self.sinks);
            (room.clone(), room)
        });
        for (row, positions) in rows.iter().enumerate() {
            for (index, &position) in positions.iter().enumerate() {
                let token = pass
                    .padding()
                    .is_none_or(|padding| padding.attends(row, start + index));
                if !token || position >= self.sinks {
                    continue;
                }
                // Without padding one row speaks for all.
                let of = if rows.len() == 1 {
                    0..batch
                } else {
                    row..row + 1
                };
                let place = [of.clone(), 0..kv_heads, position..position + 1, 0..head_dim];
                let one = [of, 0..kv_heads, index..index + 1, 0..head_dim];
                keys = keys.slice_assign(place.clone(), k.clone().slice(one.clone()));
                values = values.slice_assign(place, v.clone().slice(one));
                self.slots[row].push(start + index);
            }
        }
        self.first = Some((keys, values));
    }

    /// Which sinks these queries must not see: those that are not there yet, and those that their window sees.
    ///
    /// -> `[rows, 1, queries, S]`
    fn masked(&self, queries: Range<usize>, pass: &Pass) -> Tensor<4, Bool> {
        let window = Window::Last(self.window);
        let shape = [self.slots.len(), 1, queries.len(), self.sinks];
        let mut masked = Vec::with_capacity(shape.iter().product());
        for slots in &self.slots {
            for query in queries.clone() {
                masked.extend((0..self.sinks).map(|sink| {
                    let slot = slots.get(sink);
                    slot.is_none_or(|&slot| slot > query || window.sees(query, slot))
                }));
            }
        }
        Tensor::from_data(TensorData::new(masked, shape), pass.device())
    }
}

impl LayerCache for Sinks {
    fn attend(
        &mut self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        call: &mut Call<'_>,
    ) -> Tensor<4> {
        let pass = call.pass;
        self.keep_first(&k, &v, pass);
        let (k, v, keys) = self.last.update(k, v, pass.slots()); // [batch, kv_heads, keys, head_dim]
        let Some((first_k, first_v)) = self.first.clone() else {
            unreachable!("the first pass makes room for the sinks")
        }; // [batch, kv_heads, S, head_dim]
        let near = pass.rotate(q.clone()); // [batch, heads, seq, head_dim]
        let far = pass.rotate_at_most(q, self.sinks + self.window.get() - 1); // [batch, heads, seq, head_dim]

        let window = Window::Last(self.window);
        let [batch, heads, ..] = near.dims();
        let start = pass.slots().start;
        let blocks = pass
            .blocks(window, batch * heads, pass.slots())
            .into_iter()
            .map(|queries| {
                let cut = |q: &Tensor<4>| narrow(q.clone(), queries.start - start, queries.len());
                let (from, seen) = keys.seen_by(window, queries.clone());
                let k = narrow(k.clone(), from, seen.len()); // [batch, kv_heads, seen, head_dim]
                let v = narrow(v.clone(), from, seen.len()); // [batch, kv_heads, seen, head_dim]

                let to_first = scores(cut(&far), first_k.clone()); // [batch, heads, block, S]
                let to_last = scores(cut(&near), k); // [batch, heads, block, seen]
                let masked_first = self.masked(queries.clone(), pass); // [rows, 1, block, S]
                let masked_last = pass
                    .masked(window, queries.clone(), &seen)
                    .unwrap_or_else(|| pass.nothing_masked(queries.len(), seen.len())); // [rows, 1, block, seen]
                let masked = Tensor::cat(vec![masked_first, masked_last], 3); // [rows, 1, block, S + seen]
                let shares = probabilities(Tensor::cat(vec![to_first, to_last], 3), Some(masked));
                let v = Tensor::cat(vec![first_v.clone(), v], 2); // [batch, kv_heads, S + seen, head_dim]
                mix(shares.cast(v.dtype()), v) // [batch, heads, block, head_dim]
            });
        join(blocks.collect()) // [batch, heads, seq, head_dim]
    }

    fn reserve(&mut self, positions: usize) {
        self.last.reserve(positions);
    }

    fn set_batch(&mut self, before: usize, after: usize) {
        self.limit = self.limit.map(|limit| limit.for_batch(before, after));
        self.last.set_batch(before, after);
    }

    fn select(&mut self, selection: &Selection) {
        // They are few.
        self.first = self.first.take().map(|(keys, values)| {
            let of = |x: Tensor<4>| x.select(0, selection.index().clone());
            (of(keys), of(values)) // [rows, kv_heads, S, head_dim]
        });
        // Without padding one row speaks for all; the next pass knows how many it takes.
        let of = |&row: &usize| self.slots.get(row).or(self.slots.first()).cloned();
        self.slots = selection.rows().iter().filter_map(of).collect();
        self.last.select(selection);
    }

    fn bytes(&self) -> u64 {
        bytes(self.first.as_ref()) + self.last.bytes()
    }

    fn keep_more(&mut self, slots: usize) -> Result<(), CacheError> {
        self.last.keep_more(slots)
    }

    fn can_truncate(&self, slots: usize) -> bool {
        self.last.can_truncate(slots)
    }

    fn truncate(&mut self, slots: usize) {
        self.last.truncate(slots);
        for row in &mut self.slots {
            row.retain(|&slot| slot < slots);
        }
    }

    fn check(&self, positions: usize, device: &Device) -> Result<(), CacheError> {
        fits(self.sinks, self.limit, device)?;
        self.last.check(positions, device)
    }
}
