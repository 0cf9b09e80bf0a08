use std::ops::Range;

use burn::tensor::{Bool, Tensor};
use glass_backend::{KvTensor, SeenSlots};

use crate::{InPlace, Written};

/// Keys and values of some tokens in memory that is allocated ahead and written in place: no step copies the past.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Keys and values, each `[1, kv_heads, capacity, head_dim]`.
    held: Option<[KvTensor; 2]>,
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
        self.held.as_ref().map_or(0, |[k, _]| k.keys())
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
    pub fn write(&mut self, start: usize, k: KvTensor, v: KvTensor) {
        self.grow(start + k.keys(), |keys| k.room(keys));
        let Some([keys, values]) = self.held.take() else { unreachable!("growing makes room") };
        // The tensors are owned here alone, so that the assignment is made in place.
        self.held = Some([keys.assign(start, k), values.assign(start, v)]);
    }

    /// Lets `new` write its tokens to the slots from `start` on, and attend to what is `seen` then.
    pub fn write_in_place(&mut self, start: usize, new: &mut InPlace<'_>, seen: Option<SeenSlots>) -> Written {
        let [.., n, _] = new.shape;
        self.grow(start + n, |keys| new.room(keys));
        match &mut self.held {
            Some([KvTensor::Float(keys), KvTensor::Float(values)]) => (new.write)([keys, values], start, seen),
            _ => Written::Not,
        }
    }

    /// Writes one token, `k` and `v` `[1, kv_heads, 1, head_dim]`, to the slot that `slot` `[1, 1, capacity, 1]` marks.
    pub fn replace(&mut self, slot: Tensor<4, Bool>, k: KvTensor, v: KvTensor) {
        let Some([keys, values]) = self.held.take() else { unreachable!("only what is full is replaced") };
        self.held = Some([keys.replace(slot.clone(), k), values.replace(slot, v)]);
    }

    /// The keys and values of slots `start..start + len`: `[1, kv_heads, len, head_dim]` each.
    pub fn read(&self, start: usize, len: usize) -> [KvTensor; 2] {
        let Some(held) = &self.held else { unreachable!("nothing is read before it is written") };
        held.clone().map(|x| x.narrow(start, len))
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
    pub fn take(&mut self) -> Option<[KvTensor; 2]> {
        self.reserve = 0;
        self.held.take()
    }

    /// Bytes held, unused capacity included.
    pub fn bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, bytes)
    }

    /// At least doubles the capacity, so that filling it costs a constant per token.
    fn grow(&mut self, needed: usize, room: impl Fn(usize) -> KvTensor) {
        let old = self.capacity();
        if needed <= old {
            return;
        }
        let capacity = needed.max(2 * old).max(self.reserve).max(MIN_CAPACITY);
        let capacity = capacity.min(self.max.max(needed));
        let empty = || room(capacity);
        self.held = Some(match self.held.take() {
            Some(held) => held.map(|old| empty().assign(0, old)),
            None => [empty(), empty()],
        });
    }
}

/// What keys and values of one shape take together.
pub fn bytes([k, _]: &[KvTensor; 2]) -> u64 {
    2 * k.bytes()
}
