//! The policy `full`: nothing is forgotten.

use burn::tensor::Tensor;
use glass_backend::Device;

use super::{
    CacheError, LayerCache, Selection,
    buffer::{Buffer, PositionLimit},
    layer::fits,
};
use crate::{Call, Keys, Step, Window, attend_in_blocks};

/// Every position, one after the other. No step copies the past: the room doubles when it is used up.
pub(super) struct Full {
    buffer: Buffer,
    window: Window,
    limit: Option<PositionLimit>,
}

impl Full {
    /// `window` is what queries see of it.
    pub fn new(window: Window, limit: Option<PositionLimit>) -> Self {
        Self {
            buffer: Buffer::new(limit.map_or(usize::MAX, |limit| limit.positions)),
            window,
            limit,
        }
    }
}

impl LayerCache for Full {
    fn attend(
        &mut self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        call: &mut Call<'_>,
    ) -> Tensor<4> {
        let slots = call.pass.slots();
        self.buffer.write(slots.start, k, v);
        // What no query of this pass sees need not be read.
        let seen = self.window.seen_by(slots.clone());
        let (k, v) = self.buffer.read(seen.start, seen.len()); // [batch, kv_heads, seen, head_dim]
        call.observer.done(Step::Cache);
        let q = call.pass.rotate(q);
        call.observer.done(Step::Rope);
        attend_in_blocks(q, k, v, &Keys::Run(seen), self.window, slots, call)
    }

    fn reserve(&mut self, positions: usize) {
        self.buffer.reserve(positions);
    }

    fn set_batch(&mut self, before: usize, after: usize) {
        self.limit = self.limit.map(|limit| limit.for_batch(before, after));
        self.buffer
            .limit(self.limit.map_or(usize::MAX, |limit| limit.positions));
    }

    fn select(&mut self, selection: &Selection) {
        match selection.differs() {
            Some(slots) => self.buffer.select_at(selection.index(), slots),
            None => self.buffer.select(selection.index()),
        }
    }

    fn bytes(&self) -> u64 {
        self.buffer.bytes()
    }

    fn keep_more(&mut self, _slots: usize) -> Result<(), CacheError> {
        Ok(())
    }

    fn can_truncate(&self, _slots: usize) -> bool {
        true
    }

    /// Nothing to do: what lies behind the slots of a pass is not read before it is written again.
    fn truncate(&mut self, _slots: usize) {}

    fn check(&self, positions: usize, device: &Device) -> Result<(), CacheError> {
        fits(positions, self.limit, device)
    }
}
