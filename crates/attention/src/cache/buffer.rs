use std::ops::Range;

use burn::tensor::{Bool, Int, Tensor};
use glass_backend::{Device, Dtype};
use glass_config::LlamaConfig;

/// Room for keys and values, allocated ahead and written in place: no step copies the past.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    /// Keys and values, each `[batch, kv_heads, capacity, head_dim]`.
    held: Option<(Tensor<4>, Tensor<4>)>,
    reserve: usize,
    most: usize,
}

/// The least that is allocated, in positions.
const FIRST: usize = 64;

impl Buffer {
    /// A buffer that may grow up to `most` positions.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    pub fn capacity(&self) -> usize {
        self.held.as_ref().map_or(0, |(k, _)| k.dims()[2])
    }

    /// What the first allocation makes room for.
    pub fn reserve(&mut self, positions: usize) {
        self.reserve = positions;
    }

    /// Writes `k` and `v` `[batch, kv_heads, n, head_dim]` to the places from `start` on.
    pub fn write(&mut self, start: usize, k: Tensor<4>, v: Tensor<4>) {
        let [batch, heads, n, head_dim] = k.dims();
        self.grow(start + n, &k);
        let Some((keys, values)) = self.held.take() else {
            unreachable!("growing makes room")
        };
        let place = [0..batch, 0..heads, start..start + n, 0..head_dim];
        // The buffers are owned here alone, so that the assignment is made in place.
        self.held = Some((
            keys.slice_assign(place.clone(), k),
            values.slice_assign(place, v),
        ));
    }

    /// Writes one position, `k` and `v` `[batch, kv_heads, 1, head_dim]`, to the place of each row that `place`
    /// `[batch, 1, capacity, 1]` marks.
    pub fn replace(&mut self, place: Tensor<4, Bool>, k: Tensor<4>, v: Tensor<4>) {
        let Some((keys, values)) = self.held.take() else {
            unreachable!("only what is full is replaced")
        };
        let shape = keys.dims();
        let place = place.expand(shape); // [batch, kv_heads, capacity, head_dim]
        self.held = Some((
            keys.mask_where(place.clone(), k.expand(shape)),
            values.mask_where(place, v.expand(shape)),
        ));
    }

    /// The keys and values of places `start..start + len`: `[batch, kv_heads, len, head_dim]` each.
    pub fn read(&self, start: usize, len: usize) -> (Tensor<4>, Tensor<4>) {
        let Some((k, v)) = &self.held else {
            unreachable!("nothing is read before it is written")
        };
        match start == 0 && len == self.capacity() {
            true => (k.clone(), v.clone()),
            false => (
                k.clone().narrow(2, start, len),
                v.clone().narrow(2, start, len),
            ),
        }
    }

    /// Never grows beyond `most` positions, as long as it can be helped.
    pub fn limit(&mut self, most: usize) {
        self.most = most;
    }

    /// Keeps these rows: everything is copied, once.
    pub fn select(&mut self, rows: &Tensor<1, Int>) {
        let room = self.capacity().min(self.most);
        let Some((keys, values)) = self.held.take() else {
            return;
        };
        let of = |x: Tensor<4>| match x.dims()[2] > room {
            true => x.narrow(2, 0, room).select(0, rows.clone()),
            false => x.select(0, rows.clone()),
        };
        self.held = Some((of(keys), of(values)));
    }

    /// Gives as many rows as there are what these rows hold at `places`; the rest stays where it is.
    pub fn select_at(&mut self, rows: &Tensor<1, Int>, places: Range<usize>) {
        let Some((keys, values)) = self.held.take() else {
            return;
        };
        let of = |x: Tensor<4>| {
            let [batch, heads, _, head_dim] = x.dims();
            let some = x.clone().narrow(2, places.start, places.len());
            let some = some.select(0, rows.clone()); // [batch, kv_heads, places, head_dim]
            x.slice_assign([0..batch, 0..heads, places.clone(), 0..head_dim], some)
        };
        self.held = Some((of(keys), of(values)));
    }

    pub fn bytes(&self) -> u64 {
        bytes(self.held.as_ref())
    }

    /// At least doubles the room, so that filling it costs a constant per position.
    fn grow(&mut self, needed: usize, like: &Tensor<4>) {
        let old = self.capacity();
        if needed <= old {
            return;
        }
        let capacity = needed.max(2 * old).max(self.reserve).max(FIRST);
        let capacity = capacity.min(self.most.max(needed));
        let [batch, heads, _, head_dim] = like.dims();
        let room = || {
            Tensor::<4>::zeros(
                [batch, heads, capacity, head_dim],
                (&like.device(), like.dtype()),
            )
        };
        let (mut keys, mut values) = (room(), room());
        if let Some((k, v)) = self.held.take() {
            let place = [0..batch, 0..heads, 0..old, 0..head_dim];
            keys = keys.slice_assign(place.clone(), k);
            values = values.slice_assign(place, v);
        }
        self.held = Some((keys, values));
    }
}

/// What keys and values of one shape take together.
pub fn bytes(held: Option<&(Tensor<4>, Tensor<4>)>) -> u64 {
    held.map_or(0, |(k, _)| {
        let elements: usize = k.dims().iter().product();
        2 * (elements * k.dtype().size()) as u64
    })
}

/// What a binding limit means for a cache.
#[derive(Clone, Copy, Debug)]
pub struct PositionLimit {
    /// The most positions whose keys one tensor of the device can hold.
    pub positions: usize,
    pub bytes_per_position: u64,
    pub limit: u64,
}

impl PositionLimit {
    /// `None` where only memory limits a tensor.
    pub fn new(config: &LlamaConfig, batch: usize, device: &Device, dtype: Dtype) -> Option<Self> {
        let bytes = (batch * config.num_key_value_heads * config.head_dim * dtype.bytes()) as u64;
        device.max_binding().map(|limit| Self {
            positions: usize::try_from(limit / bytes.max(1)).unwrap_or(usize::MAX),
            bytes_per_position: bytes,
            limit,
        })
    }

    /// The same limit for `after` rows instead of `before`.
    pub fn for_batch(self, before: usize, after: usize) -> Self {
        let bytes = self.bytes_per_position / before as u64 * after as u64;
        Self {
            positions: usize::try_from(self.limit / bytes.max(1)).unwrap_or(usize::MAX),
            bytes_per_position: bytes,
            limit: self.limit,
        }
    }
}
