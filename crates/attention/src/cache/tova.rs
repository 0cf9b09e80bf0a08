//! The policy `tova:N`: what is least attended to is dropped.

use std::num::NonZeroUsize;

use burn::tensor::{Bool, Int, Tensor, TensorData};
use glass_backend::Device;

use super::{
    CacheError, LayerCache, Selection,
    buffer::{Buffer, PositionLimit},
    layer::fits,
};
use crate::{
    Call, Keys, Pass, Window, attend_in_blocks,
    blocks::{join, narrow},
    mix, probabilities, scores,
};

/// Token Omission Via Attention: Oren et al. 2024, arXiv:2401.06104. Each token's query attends to the states that are
/// kept and to its own; if there are then more than N, the one that it attended to least, on average over the layer's
/// heads, is dropped, be it its own. Keys stay rotated by their place in the text.
///
/// That is a rule for one token after the other, and a pass over many follows it: projections are made for all of them
/// at once, attention one by one from the N-th state on.
pub(super) struct Tova {
    states: usize,
    window: Window,
    /// N + 1 places.
    buffer: Buffer,
    /// Places in use, the same number in every row.
    filled: usize,
    /// The slot that each place's token stands in, `-1` for padding: `[batch, 1, 1, filled]`.
    slots: Option<Tensor<4, Int>>,
    /// Where the place of the next token is, once all are in use: `[batch, 1, 1, N + 1]`.
    dropped: Option<Tensor<4, Bool>>,
    /// Whether a state has been written over.
    replaced: bool,
    limit: Option<PositionLimit>,
}

impl Tova {
    pub fn new(states: NonZeroUsize, window: Window, limit: Option<PositionLimit>) -> Self {
        let states = states.get();
        Self {
            states,
            window,
            buffer: Buffer::new(states + 1),
            filled: 0,
            slots: None,
            dropped: None,
            replaced: false,
            limit,
        }
    }

    /// Writes the tokens at `index..index + len` of the pass to the next places, in order.
    fn write(&mut self, k: Tensor<4>, v: Tensor<4>, index: usize, pass: &Pass) {
        let [batch, _, len, _] = k.dims();
        self.buffer.write(self.filled, k, v);
        let new = slots(index, len, batch, pass); // [batch, 1, 1, len]
        self.slots = Some(match self.slots.take() {
            Some(before) => Tensor::cat(vec![before, new], 3), // [batch, 1, 1, filled]
            None => new,
        });
        self.filled += len;
    }

    /// Writes one token to the place of the dropped one.
    fn replace(&mut self, k: Tensor<4>, v: Tensor<4>, index: usize, pass: &Pass) {
        let (Some(dropped), Some(slots_before)) = (self.dropped.take(), self.slots.take()) else {
            unreachable!("a full cache has dropped a state")
        };
        let new = slots(index, 1, k.dims()[0], pass); // [batch, 1, 1, 1]
        let shape = slots_before.dims();
        self.slots = Some(slots_before.mask_where(dropped.clone(), new.expand(shape)));
        self.buffer.replace(dropped.swap_dims(2, 3), k, v);
        self.replaced = true;
    }

    /// The newest token's attention to all places, and which of them is dropped.
    ///
    /// `q` `[batch, heads, 1, head_dim]`, rotated -> the same shape
    fn attend_one(&mut self, q: Tensor<4>, slot: usize) -> Tensor<4> {
        let (k, v) = self.buffer.read(0, self.filled); // [batch, kv_heads, filled, head_dim]
        let Some(slots) = &self.slots else {
            unreachable!("its own state has been written")
        };
        let masked = slots
            .clone()
            .lower_elem(self.window.first_seen(slot) as i64); // [batch, 1, 1, filled]
        let shares = probabilities(scores(q, k), Some(masked.clone())); // [batch, heads, 1, filled]
        if self.filled > self.states {
            let mean = shares.clone().mean_dim(1); // [batch, 1, 1, filled]
            // What is not seen goes before what is seen and hardly attended to.
            let mean = mean.mask_fill(masked, -1.0);
            let least = mean.argmin(3); // [batch, 1, 1, 1]
            let places = Tensor::<1, Int>::arange(0..self.filled as i64, &least.device());
            let shape = [least.dims()[0], 1, 1, self.filled];
            let places = places.reshape([1, 1, 1, self.filled]).expand(shape);
            self.dropped = Some(places.equal(least.expand(shape))); // [batch, 1, 1, filled]
        }
        mix(shares.cast(v.dtype()), v) // [batch, heads, 1, head_dim]
    }
}

impl LayerCache for Tova {
    fn attend(
        &mut self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        call: &mut Call<'_>,
    ) -> Tensor<4> {
        let pass = call.pass;
        let seq = q.dims()[2];
        let start = pass.slots().start;
        let q = pass.rotate(q); // [batch, heads, seq, head_dim]
        let mut mixed = Vec::new();
        // As long as nothing is dropped, this is a cache like any other. (Then places are slots.)
        let together = self.states.saturating_sub(self.filled).min(seq);
        if together > 0 {
            let cut = |x: &Tensor<4>| narrow(x.clone(), 0, together);
            self.write(cut(&k), cut(&v), 0, pass);
            let (k, v) = self.buffer.read(0, self.filled);
            let keys = Keys::Run(0..self.filled);
            let queries = start..start + together;
            let mixed_together = attend_in_blocks(cut(&q), k, v, &keys, self.window, queries, call);
            mixed.push(mixed_together); // [batch, heads, together, head_dim]
        }
        for index in together..seq {
            let one = |x: &Tensor<4>| narrow(x.clone(), index, 1);
            match self.filled > self.states {
                true => self.replace(one(&k), one(&v), index, pass),
                false => self.write(one(&k), one(&v), index, pass),
            }
            mixed.push(self.attend_one(one(&q), start + index));
        }
        join(mixed) // [batch, heads, seq, head_dim]
    }

    fn reserve(&mut self, positions: usize) {
        self.buffer.reserve(positions.min(self.states + 1));
    }

    fn set_batch(&mut self, before: usize, after: usize) {
        self.limit = self.limit.map(|limit| limit.for_batch(before, after));
    }

    /// Rows forget different states, so that no stretch of places is alike.
    fn select(&mut self, selection: &Selection) {
        let rows = selection.index();
        self.buffer.select(rows);
        let slots = self.slots.take();
        self.slots = slots.map(|slots| slots.select(0, rows.clone())); // [rows, 1, 1, filled]
        let dropped = self.dropped.take();
        self.dropped = dropped.map(|dropped| dropped.select(0, rows.clone())); // [rows, 1, 1, N + 1]
    }

    fn bytes(&self) -> u64 {
        self.buffer.bytes()
    }

    /// What is dropped next depends on the newest query, which may be taken back long after.
    fn keep_more(&mut self, _slots: usize) -> Result<(), CacheError> {
        Err(CacheError::OneWay { policy: "tova" })
    }

    fn can_truncate(&self, slots: usize) -> bool {
        slots == 0 || !self.replaced
    }

    fn truncate(&mut self, slots: usize) {
        (self.filled, self.dropped, self.replaced) = (slots, None, false);
        let kept = |all: Tensor<4, Int>| all.narrow(3, 0, slots);
        self.slots = self.slots.take().filter(|_| slots > 0).map(kept);
    }

    fn check(&self, positions: usize, device: &Device) -> Result<(), CacheError> {
        fits(positions.min(self.states + 1), self.limit, device)
    }
}

/// The slots of the tokens at `index..index + len` of the pass, `-1` for padding: `[batch, 1, 1, len]`.
fn slots(index: usize, len: usize, batch: usize, pass: &Pass) -> Tensor<4, Int> {
    let start = pass.slots().start + index;
    let slots: Vec<i32> = (0..batch)
        .flat_map(|row| {
            (start..start + len).map(move |slot| {
                let token = pass
                    .padding()
                    .is_none_or(|padding| padding.attends(row, slot));
                if token { slot as i32 } else { -1 }
            })
        })
        .collect();
    Tensor::from_data(TensorData::new(slots, [batch, 1, 1, len]), pass.device())
}
