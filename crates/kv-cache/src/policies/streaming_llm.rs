//! The policy `sinks:S+W`: the first tokens, and the last.

use std::{collections::HashSet, num::NonZeroUsize, ops::Range};

use glass_backend::KvTensor;

use super::Ring;
use crate::{AttendsFrom, CacheError, KvSegment, KvView, LayerCache, Window, buffer::Buffer};

/// StreamingLLM: Xiao et al. 2023, arXiv:2309.17453. Models put attention that they have no other use for on the first
/// tokens; a window that has lost those breaks down. So the first S tokens are kept beside the last W, and positions are
/// counted within the cache: no distance is ever larger than S + W - 1, however long the text.
///
/// RoPE makes distances of positions, so nothing that is kept has to be rotated again. Between the last W tokens, distances
/// are those of the text. To the first S, which are at 0 .. S - 1 in both ways of counting, a query measures from its
/// position in the cache: at most S + W - 1.
pub struct StreamingLlm {
    sinks: usize,
    first: Buffer,
    last: Ring,
    /// Where queries attend to the first tokens from: from S + W - 1 at most.
    attends_from: AttendsFrom,
}

impl StreamingLlm {
    /// A tensor holds `max` tokens at most.
    pub fn new(sinks: NonZeroUsize, window: NonZeroUsize, max: usize) -> Self {
        Self {
            sinks: sinks.get(),
            first: Buffer::new(sinks.get()),
            last: Ring::new(window, max),
            attends_from: AttendsFrom { back: 0, max: sinks.get() + window.get() - 1 },
        }
    }
}

impl LayerCache for StreamingLlm {
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        let new = positions.start..positions.end.min(self.sinks);
        if !new.is_empty() {
            let part = |x: &KvTensor| x.clone().narrow(0, new.len());
            self.first.write(new.start, part(&k), part(&v));
        }
        let held = 0..positions.end.min(self.sinks);
        let [first_k, first_v] = self.first.read(0, held.len()); // [1, kv_heads, held, head_dim]
        let first = KvSegment {
            attends_from: Some(self.attends_from).filter(|from| positions.end - 1 > from.max),
            ..KvSegment::run(first_k, first_v, held, Window::Full)
        };
        let mut segments = vec![first];
        // The ring has the first tokens too, until they are pushed out.
        for last in self.last.append(k, v, positions.clone()).segments {
            let first_key = self.sinks;
            segments.extend(KvSegment { first_key, ..last }.seen_by(&positions));
        }
        KvView { segments }
    }

    fn reserve(&mut self, tokens: usize) {
        self.last.reserve(tokens);
    }

    fn reserve_rollback(&mut self, tokens: usize) -> Result<(), CacheError> {
        self.last.reserve_rollback(tokens)
    }

    fn can_truncate(&self, len: usize) -> bool {
        self.last.can_truncate(len)
    }

    /// First tokens that are taken back are not read before they are written again.
    fn truncate(&mut self, len: usize) {
        self.last.truncate(len);
    }

    fn fork(&mut self, len: usize) -> Box<dyn LayerCache> {
        Box::new(Self { first: self.first.copy(0..len.min(self.sinks)), last: self.last.fork_ring(len), ..*self })
    }

    fn snapshot(&mut self, len: usize) -> Box<dyn LayerCache> {
        Box::new(Self { first: self.first.copy(0..len.min(self.sinks)), last: self.last.snapshot_ring(len), ..*self })
    }

    fn bytes(&self) -> u64 {
        self.first.bytes() + self.last.bytes()
    }

    fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        self.first.bytes() + self.last.bytes_beside(counted)
    }

    fn states(&self, tokens: usize) -> usize {
        self.sinks.max(self.last.states(tokens))
    }

    fn all_states(&self, tokens: usize) -> usize {
        tokens.min(self.sinks) + self.last.states(tokens)
    }
}
