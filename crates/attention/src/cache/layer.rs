use std::ops::Range;

use burn::tensor::Tensor;
use glass_backend::Device;

use super::{
    CacheError, Keys,
    buffer::{Buffer, PositionLimit},
};
use crate::Window;

/// What one layer remembers.
#[derive(Clone, Debug)]
pub enum LayerCache {
    /// Nothing: the pass is all there is.
    Nothing,
    /// Every position. Bytes: `2 * batch * kv_heads * head_dim * positions * bytes per value`, and up to as much
    /// again as room.
    Growing {
        buffer: Buffer,
        limit: Option<PositionLimit>,
    },
    /// The last `len` positions, position `p` at place `p % len`. Bytes: `2 * batch * kv_heads * head_dim * len *
    /// bytes per value` at most, however long the text.
    Ring {
        buffer: Buffer,
        len: usize,
        limit: Option<PositionLimit>,
    },
}

impl LayerCache {
    /// The cache that a window needs, and no more.
    pub fn new(window: Window, limit: Option<PositionLimit>) -> Self {
        let most = limit.map_or(usize::MAX, |limit| limit.positions);
        match window.span() {
            None => LayerCache::Growing {
                buffer: Buffer::new(most),
                limit,
            },
            Some(len) => LayerCache::Ring {
                buffer: Buffer::new(len.min(most)),
                len,
                limit,
            },
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
        match self {
            LayerCache::Nothing => (k, v, Keys::Run(slots)),
            LayerCache::Growing { buffer, .. } => {
                buffer.write(slots.start, k, v);
                let (k, v) = buffer.read(0, slots.end);
                (k, v, Keys::Run(0..slots.end))
            }
            LayerCache::Ring { buffer, len, .. } => update_ring(buffer, *len, k, v, slots),
        }
    }

    /// Makes room for this many positions at the first allocation, as far as they are kept.
    pub fn reserve(&mut self, positions: usize) {
        match self {
            LayerCache::Nothing => {}
            LayerCache::Growing { buffer, .. } => buffer.reserve(positions),
            LayerCache::Ring { buffer, len, .. } => buffer.reserve(positions.min(*len)),
        }
    }

    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        match self {
            LayerCache::Nothing => 0,
            LayerCache::Growing { buffer, .. } | LayerCache::Ring { buffer, .. } => buffer.bytes(),
        }
    }

    /// Whether the device can hold what `positions` positions need.
    pub(crate) fn check(&self, positions: usize, device: &Device) -> Result<(), CacheError> {
        let (limit, needed) = match self {
            LayerCache::Nothing => return Ok(()),
            LayerCache::Growing { limit, .. } => (limit, positions),
            LayerCache::Ring { limit, len, .. } => (limit, positions.min(*len)),
        };
        match limit {
            Some(limit) if needed > limit.positions => Err(CacheError::TooLarge {
                positions: needed,
                bytes: (needed as u64).saturating_mul(limit.bytes_per_position),
                limit: limit.limit,
                device: device.name().to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

fn update_ring(
    buffer: &mut Buffer,
    len: usize,
    k: Tensor<4>,
    v: Tensor<4>,
    slots: Range<usize>,
) -> (Tensor<4>, Tensor<4>, Keys) {
    let seq = slots.len();
    // Until the ring has gone round once, it is a buffer like any other.
    if slots.end <= len {
        buffer.write(slots.start, k, v);
        let (k, v) = buffer.read(0, slots.end);
        return (k, v, Keys::Run(0..slots.end));
    }
    // One token pushes out the one position that it no longer sees: what is left is what it may see.
    if seq == 1 {
        buffer.write(slots.start % len, k, v);
        let (k, v) = buffer.read(0, len);
        let end = slots.end;
        return (k, v, Keys::Ring { end, len });
    }
    // More tokens would push out what the first of them still see, so those are read before, in order.
    let past = slots.start - slots.start.min(len - 1)..slots.start;
    let mut parts: Vec<_> = places(past.clone(), len)
        .map(|place| buffer.read(place.start, place.len()))
        .collect();
    parts.push((k.clone(), v.clone()));
    let (keys, values): (Vec<_>, Vec<_>) = parts.into_iter().unzip();

    let kept = slots.end - seq.min(len)..slots.end;
    let mut from = kept.start - slots.start;
    for place in places(kept, len) {
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

/// Where a ring of `len` keeps these positions (at most `len` of them): a run of places, or two around the seam.
fn places(positions: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let start = positions.start % len;
    let end = start + positions.len();
    [start..end.min(len), 0..end.saturating_sub(len)]
        .into_iter()
        .filter(|place| !place.is_empty())
}
