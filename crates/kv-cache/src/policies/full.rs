//! The policy `full`: nothing is forgotten.

use std::{collections::HashSet, ops::Range};

use glass_backend::{KeyPositions, KvTensor};

use crate::{
    Appended, CacheError, InPlace, KvSegment, KvView, LayerCache, SeenSlots, Window,
    buffer::Buffer,
    shared::{KEYS_TOGETHER, MIN_SHARED, Shared},
};

/// Every token, one after the other. No step copies the past: the capacity doubles when it is used up.
pub struct Full {
    /// The beginning that forks have in common.
    shared: Shared,
    own: Buffer,
    /// What queries see of it.
    window: Window,
    max: usize,
}

impl Full {
    /// A tensor holds `max` tokens at most.
    pub fn new(window: Window, max: usize) -> Self {
        Self { shared: Shared::default(), own: Buffer::new(max), window, max }
    }

    /// What the queries at `positions`, which are the last, may see.
    fn view(&self, positions: Range<usize>) -> KvView {
        let begin = self.shared.end();
        // What no query of this pass sees is not read.
        let seen = self.window.seen_by(positions);
        let mut segments: Vec<_> = self.shared.segments(seen.clone(), self.window).collect();
        let own = seen.start.max(begin)..seen.end;
        let [k, v] = self.own.read(own.start - begin, own.len()); // [1, kv_heads, own, head_dim]
        segments.push(KvSegment::run(k, v, own, self.window));
        KvView { segments }
    }
}

impl LayerCache for Full {
    fn append(&mut self, k: KvTensor, v: KvTensor, positions: Range<usize>) -> KvView {
        self.own.write(positions.start - self.shared.end(), k, v);
        self.view(positions)
    }

    fn append_in_place(&mut self, new: &mut InPlace<'_>, positions: Range<usize>) -> Appended {
        let begin = self.shared.end();
        let seen = (begin == 0).then(|| SeenSlots {
            keys: positions.end,
            positions: KeyPositions::Run { first: 0 },
            window: self.window.span(),
            first_query: positions.start,
        });
        let written = self.own.write_in_place(positions.start - begin, new, seen);
        Appended::new(written, || self.view(positions))
    }

    fn reserve(&mut self, tokens: usize) {
        self.own.reserve(tokens.saturating_sub(self.shared.end()));
    }

    fn limit(&mut self, tokens: usize) {
        self.own.limit(self.max.min(tokens.saturating_sub(self.shared.end())));
    }

    /// Everything is there anyway.
    fn reserve_rollback(&mut self, _tokens: usize) -> Result<(), CacheError> {
        Ok(())
    }

    fn can_truncate(&self, _len: usize) -> bool {
        true
    }

    /// What lies behind `len` in the buffer is not read before it is written again.
    fn truncate(&mut self, len: usize) {
        self.shared.truncate(len);
    }

    fn fork(&mut self, len: usize) -> Box<dyn LayerCache> {
        let begin = self.shared.end();
        let used = len - begin;
        if used >= MIN_SHARED
            && let Some(kv) = self.own.take()
        {
            self.shared.push(kv, begin..len);
        }
        Box::new(Self {
            own: self.own.copy(0..len - self.shared.end()),
            shared: self.shared.clone(),
            ..Self::new(self.window, self.max)
        })
    }

    /// Behind a window keys are taken together from the first that is seen on, so that another segment would be seen.
    fn snapshot(&mut self, len: usize) -> Box<dyn LayerCache> {
        let (begin, used) = (self.shared.end(), len - self.shared.end());
        let whole = if self.window == Window::Full { used / KEYS_TOGETHER * KEYS_TOGETHER } else { 0 };
        let mut shared = self.shared.clone();
        if let Some(kv) = self.own.copy(0..whole).take() {
            shared.push(kv, begin..begin + whole);
        }
        Box::new(Self { shared, own: self.own.copy(whole..used), ..Self::new(self.window, self.max) })
    }

    fn bytes(&self) -> u64 {
        self.shared.bytes() + self.own.bytes()
    }

    fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        self.shared.bytes_beside(counted) + self.own.bytes()
    }

    fn states(&self, tokens: usize) -> usize {
        tokens - self.shared.end().min(tokens)
    }

    fn all_states(&self, tokens: usize) -> usize {
        tokens
    }
}
