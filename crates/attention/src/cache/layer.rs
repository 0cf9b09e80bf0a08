//! What one layer remembers, whatever its policy.

use burn::tensor::Tensor;
use glass_backend::Device;

use super::{CacheError, Selection, buffer::PositionLimit};
use crate::{Call, Keys, Window, attend_in_blocks};

/// The past of one layer, and how its queries attend to it. One file per policy; [`CachePolicy`](crate::CachePolicy) has
/// their names, costs and sources.
pub trait LayerCache: Send {
    /// Remembers the keys and values of the pass's slots, and lets the queries there attend to all that they may see,
    /// themselves included.
    ///
    /// `q` `[batch, heads, seq, head_dim]`, not yet rotated, because a policy may place it elsewhere than it stands; `k`,
    /// rotated by its position once and for all, and `v`, `[batch, kv_heads, seq, head_dim]` -> as `q`
    fn attend(
        &mut self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        call: &mut Call<'_>,
    ) -> Tensor<4>;

    /// Makes room for this many positions at the first allocation, as far as they are kept.
    fn reserve(&mut self, positions: usize);

    /// What is held is for `after` rows from here on, no longer for `before`: limits that depend on it change.
    fn set_batch(&mut self, before: usize, after: usize);

    /// Keeps these rows. The limits are for their number already.
    fn select(&mut self, selection: &Selection);

    /// Bytes held now, room for more included.
    fn bytes(&self) -> u64;

    /// Keeps `slots` states more than its policy needs, so that the cache can go back by as many. Before the first pass.
    ///
    /// # Errors
    /// [`CacheError::OneWay`]: no number of states would do.
    fn keep_more(&mut self, slots: usize) -> Result<(), CacheError>;

    /// Whether all that queries from slot `slots` on see of the slots before is still there.
    fn can_truncate(&self, slots: usize) -> bool;

    /// Forgets slot `slots` and those behind it; only where [`LayerCache::can_truncate`] says that this can be done.
    fn truncate(&mut self, slots: usize);

    /// Whether the device can hold what `positions` positions need.
    ///
    /// # Errors
    /// [`CacheError::TooLarge`].
    fn check(&self, positions: usize, device: &Device) -> Result<(), CacheError>;
}

/// Nothing is remembered: the pass is all there is, as in training.
pub(super) struct Nothing(pub Window);

impl LayerCache for Nothing {
    fn attend(
        &mut self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        call: &mut Call<'_>,
    ) -> Tensor<4> {
        let (q, slots) = (call.pass.rotate(q), call.pass.slots());
        let keys = Keys::Run(slots.clone());
        attend_in_blocks(q, k, v, &keys, self.0, slots, call)
    }

    fn reserve(&mut self, _positions: usize) {}

    fn set_batch(&mut self, _before: usize, _after: usize) {}

    fn select(&mut self, _selection: &Selection) {}

    fn bytes(&self) -> u64 {
        0
    }

    fn keep_more(&mut self, _slots: usize) -> Result<(), CacheError> {
        Ok(())
    }

    fn can_truncate(&self, _slots: usize) -> bool {
        true
    }

    fn truncate(&mut self, _slots: usize) {}

    fn check(&self, _positions: usize, _device: &Device) -> Result<(), CacheError> {
        Ok(())
    }
}

/// Whether one tensor of the device can hold this many states.
pub(super) fn fits(
    states: usize,
    limit: Option<PositionLimit>,
    device: &Device,
) -> Result<(), CacheError> {
    match limit {
        Some(limit) if states > limit.positions => Err(CacheError::TooLarge {
            positions: states,
            bytes: (states as u64).saturating_mul(limit.bytes_per_position),
            limit: limit.limit,
            device: device.name().to_owned(),
        }),
        _ => Ok(()),
    }
}
