//! Keys and values that forks of a sequence share.

use std::{collections::HashSet, ops::Range, sync::Arc};

use glass_backend::KvTensor;

use crate::{KvSegment, Window, buffer};

/// From how many tokens on sharing pays: below, a copy costs less than one more segment in every pass.
pub const MIN_SHARED: usize = 256;

/// Kernels take so many keys of a segment together, from its first on: where a segment ends behind a whole number of them, the
/// next is computed as if it were the same, bit for bit.
pub const KEYS_TOGETHER: usize = 64;

/// Runs of tokens that nobody writes to any more, in order.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    runs: Vec<Run>,
    end: usize,
}

#[derive(Clone, Debug)]
struct Run {
    /// Each `[1, kv_heads, positions or more, head_dim]`.
    kv: Arc<[KvTensor; 2]>,
    positions: Range<usize>,
}

impl Shared {
    /// The position behind the last of them; what follows is the sequence's own.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The first position that is held.
    pub fn start(&self) -> usize {
        self.runs.first().map_or(self.end, |run| run.positions.start)
    }

    /// One more run; `kv` begins at its first position.
    pub fn push(&mut self, kv: [KvTensor; 2], positions: Range<usize>) {
        self.end = positions.end;
        self.runs.push(Run { kv: Arc::new(kv), positions });
    }

    /// What is held of `positions`, as segments seen through `window`.
    pub fn segments(&self, positions: Range<usize>, window: Window) -> impl Iterator<Item = KvSegment> + '_ {
        self.runs.iter().filter_map(move |run| {
            let held = positions.start.max(run.positions.start)..positions.end.min(run.positions.end);
            if held.is_empty() {
                return None;
            }
            let start = held.start - run.positions.start;
            let [k, v] = run.kv.each_ref().map(|x| x.clone().narrow(start, held.len())); // [1, kv_heads, held, head_dim]
            Some(KvSegment::run(k, v, held, window))
        })
    }

    /// Forgets position `len` and those behind it.
    pub fn truncate(&mut self, len: usize) {
        self.runs.retain(|run| run.positions.start < len);
        if let Some(last) = self.runs.last_mut() {
            last.positions.end = last.positions.end.min(len);
        }
        self.end = self.end.min(len);
    }

    /// Forgets runs that end at this position or before.
    pub fn forget_before(&mut self, position: usize) {
        self.runs.retain(|run| run.positions.end > position);
    }

    /// Bytes of the runs, whoever else holds them.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| buffer::bytes(&run.kv)).sum()
    }

    /// Bytes of the runs that are not in `counted`, where they are noted.
    pub fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        let new = self.runs.iter().filter(|run| counted.insert(Arc::as_ptr(&run.kv).addr()));
        new.map(|run| buffer::bytes(&run.kv)).sum()
    }
}
