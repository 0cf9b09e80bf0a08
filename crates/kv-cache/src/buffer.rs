use std::ops::Range;

use burn::tensor::{Bool, DType, Device as BurnDevice, Tensor};

use crate::InPlace;

/// Keys and values of some tokens in memory that is allocated ahead and written in place: no step copies the past.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Keys and values, each `[1, kv_heads, capacity, head_dim]`.
    held: Option<[Tensor<4>; 2]>,
    reserve: usize,
    max: usize,
}

/// The least that is allocated, in tokens.
const MIN_CAPACITY: usize = 64;

impl Buffer {
    /// A buffer that grows up to `max` tokens.
    pub fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub fn capacity(&self) -> usize {
        self.held.as_ref().map_or(0, |[k, _]| k.dims()[2])
    }

    /// What the first allocation makes room for.
    pub fn reserve(&mut self, tokens: usize) {
        self.reserve = tokens;
    }

    /// No room is made for more than this many tokens, unless they come.
    pub fn limit(&mut self, tokens: usize) {
        self.max = tokens;
    }

    /// Writes `k` and `v` `[1, kv_heads, n, head_dim]` to the slots from `start` on.
    pub fn write(&mut self, start: usize, k: Tensor<4>, v: Tensor<4>) {
        let [batch, heads, n, head_dim] = k.dims();
        self.grow(start + n, k.dims(), (&k.device(), k.dtype()));
        let Some([keys, values]) = self.held.take() else { unreachable!("growing makes room") };
        let slots = [0..batch, 0..heads, start..start + n, 0..head_dim];
        // The tensors are owned here alone, so that the assignment is made in place.
        self.held = Some([keys.slice_assign(slots.clone(), k), values.slice_assign(slots, v)]);
    }

    /// Lets `new` write its tokens to the slots from `start` on. Whether it has.
    pub fn write_in_place(&mut self, start: usize, new: &mut InPlace<'_>) -> bool {
        let [.., n, _] = new.shape;
        self.grow(start + n, new.shape, (&new.device, new.dtype));
        let Some(held) = self.held.take() else { unreachable!("growing makes room") };
        let (written, held) = (new.write)(held, start);
        self.held = Some(held);
        written
    }

    /// Writes one token, `k` and `v` `[1, kv_heads, 1, head_dim]`, to the slot that `slot` `[1, 1, capacity, 1]` marks.
    pub fn replace(&mut self, slot: Tensor<4, Bool>, k: Tensor<4>, v: Tensor<4>) {
        let Some([keys, values]) = self.held.take() else { unreachable!("only what is full is replaced") };
        let shape = keys.dims();
        let slot = slot.expand(shape); // [1, kv_heads, capacity, head_dim]
        self.held = Some([keys.mask_where(slot.clone(), k.expand(shape)), values.mask_where(slot, v.expand(shape))]);
    }

    /// The keys and values of slots `start..start + len`: `[1, kv_heads, len, head_dim]` each.
    pub fn read(&self, start: usize, len: usize) -> [Tensor<4>; 2] {
        let Some(held) = &self.held else { unreachable!("nothing is read before it is written") };
        held.clone().map(|x| if start == 0 && len == x.dims()[2] { x } else { x.narrow(2, start, len) })
    }

    /// A buffer of its own with these slots, from its first on.
    pub fn copy(&self, slots: Range<usize>) -> Self {
        let mut copy = Self::new(self.max);
        if !slots.is_empty() {
            let [k, v] = self.read(slots.start, slots.len());
            copy.write(0, k, v);
        }
        copy
    }

    /// Gives away what is held; the buffer is as new.
    pub fn take(&mut self) -> Option<[Tensor<4>; 2]> {
        self.reserve = 0;
        self.held.take()
    }

    /// Bytes held, unused capacity included.
    pub fn bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, bytes)
    }

    /// At least doubles the capacity, so that filling it costs a constant per token.
    fn grow(&mut self, needed: usize, [batch, heads, _, head_dim]: [usize; 4], kind: (&BurnDevice, DType)) {
        let old = self.capacity();
        if needed <= old {
            return;
        }
        let capacity = needed.max(2 * old).max(self.reserve).max(MIN_CAPACITY);
        let capacity = capacity.min(self.max.max(needed));
        let empty = || {
            let shape = [batch, heads, capacity, head_dim];
            Tensor::<4>::zeros(shape, kind)
        };
        let mut grown = [empty(), empty()];
        if let Some(held) = self.held.take() {
            let slots = [0..batch, 0..heads, 0..old, 0..head_dim];
            let mut held = held.into_iter();
            grown = grown.map(|x| match held.next() {
                Some(old) => x.slice_assign(slots.clone(), old),
                None => x,
            });
        }
        self.held = Some(grown);
    }
}

/// What keys and values of one shape take together.
pub fn bytes([k, _]: &[Tensor<4>; 2]) -> u64 {
    let elements: usize = k.dims().iter().product();
    2 * (elements * k.dtype().size()) as u64
}
