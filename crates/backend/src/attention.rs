//! What attention computes with: its parameters, and segments of keys and values.

use std::ops::Range;

use burn::tensor::Tensor;
use glass_kernels::{KeyMask, KeyPositions};

use crate::KvTensor;

/// The parameters of one attention.
#[derive(Clone, Debug)]
pub struct AttentionParams {
    /// A score is `scale * q . k`.
    pub scale: f64,
    /// Scores are capped, before masking: `soft_cap * tanh(score / soft_cap)` (Gemma 2, arXiv:2408.00118).
    pub soft_cap: Option<f64>,
    /// Learned sinks `[heads]`: one more logit in each head's softmax, without a value (gpt-oss, arXiv:2508.10925).
    pub sinks: Option<Tensor<1>>,
}

/// A segment of keys and values. Several make one softmax: a forked sequence has a frozen segment and a tail of its own,
/// StreamingLLM its first tokens and a ring.
///
/// A mask is a few numbers, the same for every row of the batch.
#[derive(Clone, Debug)]
pub struct KvSegment {
    /// `[batch, kv_heads, keys, head_dim]`, rotated
    pub k: KvTensor,
    /// `[batch, kv_heads, keys, head_dim]`
    pub v: KvTensor,
    /// The positions of the keys.
    pub positions: KeyPositions,
    /// Keys at positions before this one are masked.
    pub first_key: usize,
    /// The sliding window W: a query at position `p` sees the keys at positions `> p - W` and `<= p`; without one, all
    /// `<= p`. `attention/window.rs` owns its meaning.
    pub window: Option<usize>,
    /// The queries as rotated for this segment, where they differ from the others: `[batch, heads, queries, head_dim]`.
    /// StreamingLLM reads its first tokens from a nearer position.
    pub q: Option<Tensor<4>>,
}

/// What queries see of a cache that holds all they may attend to in its first slots.
#[derive(Clone, Copy, Debug)]
pub struct SeenSlots {
    /// Slots with a key in them.
    pub keys: usize,
    pub positions: KeyPositions,
    /// As that of a [`KvSegment`].
    pub window: Option<usize>,
    /// The position of the first query.
    pub first_query: usize,
}

/// Next tokens of one text, among those of others, and what they may attend to.
#[derive(Clone, Debug)]
pub struct TextKv {
    pub segments: Vec<KvSegment>,
    pub positions: Range<usize>,
}

impl KvSegment {
    /// Every key up to the query's own position, `k` and `v` `[batch, kv_heads, keys, head_dim]`.
    pub fn new(k: impl Into<KvTensor>, v: impl Into<KvTensor>, positions: KeyPositions) -> Self {
        Self { k: k.into(), v: v.into(), positions, first_key: 0, window: None, q: None }
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.k.keys()
    }

    /// The slots that at least one query at these positions sees: at most two runs in the order of the slots, either of
    /// which may be empty. For a single query they are exactly what it sees.
    pub fn visible(&self, queries: Range<usize>) -> [Range<usize>; 2] {
        self.mask().visible(self.keys(), queries)
    }

    pub(crate) fn mask(&self) -> KeyMask {
        KeyMask { positions: self.positions, first_key: self.first_key, window: self.window }
    }
}

impl SeenSlots {
    pub(crate) fn mask(&self) -> KeyMask {
        KeyMask { positions: self.positions, first_key: 0, window: self.window }
    }
}
