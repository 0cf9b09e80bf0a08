//! What a query may attend to: keys, values and where they stand.

use std::ops::Range;

use burn::tensor::{Bool, Int, Tensor};
use glass_backend::{KeyPositions as KernelPositions, KvTensor};

use crate::Window;

/// The keys and values that some queries may attend to: one softmax runs over all segments.
///
/// Nearly always one segment. A forked sequence has the part that it shares, and its own; StreamingLLM has its first
/// tokens, and its last.
pub struct KvView {
    pub segments: Vec<KvSegment>,
}

/// Keys and values that lie together.
#[derive(Clone)]
pub struct KvSegment {
    /// `[batch, kv_heads, keys, head_dim]`, rotated
    pub k: KvTensor,
    /// `[batch, kv_heads, keys, head_dim]`
    pub v: KvTensor,
    pub positions: KeyPositions,
    /// How far back queries see here.
    pub window: Window,
    /// Keys before this position are masked: another segment has them.
    pub first_key: usize,
    /// Where queries attend from, if not from their own place: they come rotated by it.
    pub attends_from: Option<AttendsFrom>,
}

/// Where queries attend to some keys from: from min(position - back, max). Scores depend on distances alone, so that another
/// place of the query is another distance to keys that stay as they were rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttendsFrom {
    /// What is taken off the query's position, which is no less.
    pub back: usize,
    pub max: usize,
}

impl AttendsFrom {
    /// For the query at this position.
    pub fn at(self, position: usize) -> usize {
        (position - self.back).min(self.max)
    }
}

/// The position of each key along the key axis.
#[derive(Clone, Debug)]
pub enum KeyPositions {
    /// One after the other.
    Run(Range<usize>),
    /// A full ring: slot `s` of `len` holds the newest position before `end` whose remainder by `len` is `s`.
    Ring { end: usize, len: usize },
    /// Any, on the device: `[keys]`.
    Listed(Box<Tensor<1, Int>>),
}

impl KvView {
    /// A single segment.
    pub fn one(segment: KvSegment) -> Self {
        let segments = vec![segment];
        Self { segments }
    }

    /// The places that queries attend to some of the segments from, each once.
    pub fn attends_from(&self) -> Vec<AttendsFrom> {
        let mut all: Vec<_> = self.segments.iter().filter_map(|segment| segment.attends_from).collect();
        all.dedup(); // segments of one kind follow one another
        all
    }
}

impl KvSegment {
    /// Keys and values at the positions of `run`, seen through `window`.
    pub fn run(k: impl Into<KvTensor>, v: impl Into<KvTensor>, run: Range<usize>, window: Window) -> Self {
        Self::new(k, v, KeyPositions::Run(run), window)
    }

    /// Keys and values seen through `window`.
    pub fn new(k: impl Into<KvTensor>, v: impl Into<KvTensor>, positions: KeyPositions, window: Window) -> Self {
        Self { k: k.into(), v: v.into(), positions, window, first_key: 0, attends_from: None }
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.k.keys()
    }

    /// The positions as kernels take them; `None` if the keys are in no order.
    pub fn in_order(&self) -> Option<KernelPositions> {
        match self.positions {
            KeyPositions::Run(ref run) => Some(KernelPositions::Run { first: run.start }),
            KeyPositions::Ring { end, len } => Some(KernelPositions::Ring { end, len }),
            KeyPositions::Listed(_) => None,
        }
    }

    /// The segment as kernels take it; `None` if its keys stand in no order. `q` are the queries for
    /// [`attends_from`](Self::attends_from).
    pub fn for_kernel(&self, q: Option<Tensor<4>>) -> Option<glass_backend::KvSegment> {
        let positions = self.in_order()?;
        Some(glass_backend::KvSegment {
            first_key: self.first_key,
            window: self.window.span(),
            q,
            ..glass_backend::KvSegment::new(self.k.clone(), self.v.clone(), positions)
        })
    }

    /// The part that at least one of these queries sees. A ring is not cut: it holds no more than a window, in no order.
    pub fn seen_by(&self, queries: &Range<usize>) -> Option<Self> {
        let KeyPositions::Run(run) = &self.positions else {
            return Some(self.clone());
        };
        let seen = self.window.seen_by(queries.clone());
        self.part(run, seen.start.max(self.first_key)..seen.end)
    }

    /// The part at these positions, of keys that stand one after the other; none of a ring, or where nothing is left.
    pub fn at(&self, positions: Range<usize>) -> Option<Self> {
        match &self.positions {
            KeyPositions::Run(run) => self.part(run, positions),
            KeyPositions::Ring { .. } | KeyPositions::Listed(_) => None,
        }
    }

    fn part(&self, run: &Range<usize>, positions: Range<usize>) -> Option<Self> {
        let part = positions.start.max(run.start)..positions.end.min(run.end);
        if part.is_empty() {
            return None;
        }
        let start = part.start - run.start;
        Some(Self {
            k: self.k.clone().narrow(start, part.len()), // [batch, kv_heads, part, head_dim]
            v: self.v.clone().narrow(start, part.len()), // [batch, kv_heads, part, head_dim]
            positions: KeyPositions::Run(part),
            ..self.clone()
        })
    }

    /// Which keys these queries must not see: `[1, 1, queries, keys]`, true where the key is hidden; `None` if they see
    /// all. Computed on the device from five numbers.
    pub fn hidden_mask(&self, queries: &Range<usize>) -> Option<Tensor<4, Bool>> {
        let keys = match &self.positions {
            KeyPositions::Run(run) => Some(run.clone()),
            KeyPositions::Ring { end, len } => Some(end - len..*end),
            KeyPositions::Listed(_) => None,
        };
        let last = queries.end - 1;
        if keys.is_some_and(|keys| {
            let first_seen = self.window.first_seen(last).max(self.first_key);
            keys.end <= queries.start + 1 && first_seen <= keys.start
        }) {
            return None;
        }
        let device = self.k.device();
        let range = |run: Range<usize>| Tensor::<1, Int>::arange(run.start as i64..run.end as i64, &device);
        let shape = [queries.len(), self.keys()];
        let key = match &self.positions {
            KeyPositions::Run(run) => range(run.clone()),
            KeyPositions::Ring { end, len } => {
                let newest = end % len; // slots in use since the ring last began anew
                let parts = [end - newest..*end, end - len..end - newest];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                Tensor::cat(parts.map(range).collect(), 0)
            }
            KeyPositions::Listed(positions) => (**positions).clone(),
        }; // [keys]
        let key = key.unsqueeze::<2>().expand(shape); // [queries, keys]
        let query = range(queries.clone()).unsqueeze_dim::<2>(1).expand(shape); // [queries, keys]
        let mut hidden = self.window.hides(query, key.clone()); // [queries, keys]
        if self.first_key > 0 {
            hidden = hidden.bool_or(key.lower_elem(self.first_key as i64));
        }
        Some(hidden.unsqueeze::<4>()) // [1, 1, queries, keys]
    }
}

/// Parts of the sequence axis, one behind the other; a single one is not copied.
pub fn join(mut parts: Vec<Tensor<4>>) -> Tensor<4> {
    if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(parts, 2) }
}

/// Part of the sequence axis; all of it is not touched.
pub fn narrow(x: Tensor<4>, start: usize, len: usize) -> Tensor<4> {
    if x.dims()[2] == len { x } else { x.narrow(2, start, len) }
}
