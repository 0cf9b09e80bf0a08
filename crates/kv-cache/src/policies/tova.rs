//! The policy `tova:N`: what is least attended to is dropped.

use std::{num::NonZeroUsize, ops::Range};

use burn::tensor::{Bool, Int, Tensor};
use glass_backend::KvTensor;

use crate::{CacheError, KeyPositions, KvSegment, KvView, LayerCache, Window, buffer::Buffer};

/// Token Omission Via Attention: Oren et al. 2024, arXiv:2401.06104. Each token's query attends to the states that are
/// kept and to its own; if there are then more than N, the one that it attended to least, on average over the layer's
/// heads, is dropped, be it its own. Keys stay rotated by their position in the text.
///
/// That is a rule for one token after the other: from the N-th state on, tokens are appended one by one.
pub struct Tova {
    states: usize,
    window: Window,
    /// N + 1 slots.
    buffer: Buffer,
    /// Slots in use.
    len: usize,
    /// The position of each slot's token: `[len]`.
    positions: Option<Tensor<1, Int>>,
    /// The slot of the state that is dropped for the next token, once all are in use: `[N + 1]`.
    dropped: Option<Tensor<1, Bool>>,
    /// Whether a state has been written over.
    replaced: bool,
    /// The position of the newest token.
    query: usize,
}

impl Tova {
    pub fn new(states: NonZeroUsize, window: Window) -> Self {
        let states = states.get();
        Self {
            states,
            window,
            buffer: Buffer::new(states + 1),
            len: 0,
            positions: None,
            dropped: None,
            replaced: false,
            query: 0,
        }
    }
}

impl LayerCache for Tova {
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        self.query = positions.end - 1;
        let new = Tensor::arange(positions.start as i64..positions.end as i64, &k.device()); // [tokens]
        let before = self.positions.take();
        if let (Some(dropped), Some(before)) = (self.dropped.take(), before.clone()) {
            let slots = self.len;
            self.positions = Some(before.mask_where(dropped.clone(), new.expand([slots])));
            self.buffer.replace(dropped.reshape([1, 1, slots, 1]), k, v);
            self.replaced = true;
        } else {
            self.buffer.write(self.len, k, v);
            self.len += positions.len();
            self.positions = Some(match before {
                Some(before) => Tensor::cat(vec![before, new], 0), // [len]
                None => new,
            });
        }
        let [k, v] = self.buffer.read(0, self.len); // [1, kv_heads, len, head_dim]
        // Before a state is dropped, slots are positions.
        let positions = match &self.positions {
            Some(positions) if self.replaced => KeyPositions::Listed(Box::new(positions.clone())),
            _ => KeyPositions::Run(0..self.len),
        };
        KvView::one(KvSegment::new(k, v, positions, self.window))
    }

    fn max_step(&self) -> usize {
        self.states.saturating_sub(self.len).max(1)
    }

    fn wants_weights(&self) -> bool {
        self.len > self.states
    }

    fn observe(&mut self, weights: Tensor<4>) {
        let Some(positions) = &self.positions else { unreachable!("attention follows a token") };
        let mean = weights.mean_dim(1).reshape([self.len]); // [len]
        // What is not seen goes before what is seen and hardly attended to.
        let unseen = positions.clone().lower_elem(self.window.first_seen(self.query) as i64); // [len]
        let least = mean.mask_fill(unseen, -1.0).argmin(0); // [1]
        let slots = Tensor::<1, Int>::arange(0..self.len as i64, &least.device());
        self.dropped = Some(slots.equal(least.expand([self.len]))); // [len]
    }

    fn reserve(&mut self, tokens: usize) {
        self.buffer.reserve(tokens.min(self.states + 1));
    }

    /// What is dropped next depends on the newest query, which may be taken back long after.
    fn reserve_rollback(&mut self, _tokens: usize) -> Result<(), CacheError> {
        Err(CacheError::OneWay { policy: "tova" })
    }

    fn can_truncate(&self, len: usize) -> bool {
        len == 0 || !self.replaced
    }

    fn truncate(&mut self, len: usize) {
        (self.len, self.dropped, self.replaced) = (len, None, false);
        let kept = |positions: Tensor<1, Int>| positions.narrow(0, 0, len);
        self.positions = self.positions.take().filter(|_| len > 0).map(kept);
    }

    fn fork(&mut self, _len: usize) -> Box<dyn LayerCache> {
        Box::new(Self {
            buffer: self.buffer.copy(0..self.len),
            positions: self.positions.clone(),
            dropped: self.dropped.clone(),
            ..*self
        })
    }

    fn bytes(&self) -> u64 {
        self.buffer.bytes()
    }

    fn states(&self, tokens: usize) -> usize {
        tokens.min(self.states + 1)
    }
}
