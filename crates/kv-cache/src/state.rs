//! What one layer keeps of one sequence, whatever its mixer.

use std::collections::HashSet;

use crate::{CacheError, LayerCache, NoCache, RecurrentState, Window};

/// Of attention keys and values, under a policy; of a recurrent mixer a state of fixed size.
pub enum LayerState {
    Kv(Box<dyn LayerCache>),
    Recurrent(RecurrentState),
}

impl LayerState {
    /// Of attention in a pass of which nothing is kept.
    pub fn of_pass(window: Window) -> Self {
        Self::Kv(Box::new(NoCache(window)))
    }

    /// The keys and values of an attention layer.
    pub fn kv(&mut self) -> &mut dyn LayerCache {
        match self {
            Self::Kv(cache) => cache.as_mut(),
            Self::Recurrent(_) => unreachable!("made by the config that made the layer: it attends"),
        }
    }

    /// The state of a recurrent layer.
    pub fn recurrent(&mut self) -> &mut RecurrentState {
        match self {
            Self::Kv(_) => unreachable!("made by the config that made the layer: it is recurrent"),
            Self::Recurrent(state) => state,
        }
    }

    pub(crate) fn reserve(&mut self, tokens: usize) {
        if let Self::Kv(cache) = self {
            cache.reserve(tokens);
        }
    }

    pub(crate) fn limit(&mut self, tokens: usize) {
        if let Self::Kv(cache) = self {
            cache.limit(tokens);
        }
    }

    pub(crate) fn reserve_rollback(&mut self, tokens: usize) -> Result<(), CacheError> {
        match self {
            Self::Kv(cache) => cache.reserve_rollback(tokens),
            Self::Recurrent(state) => {
                state.reserve_rollback(tokens);
                Ok(())
            }
        }
    }

    pub(crate) fn can_truncate(&self, len: usize) -> bool {
        match self {
            Self::Kv(cache) => cache.can_truncate(len),
            Self::Recurrent(state) => state.can_truncate(len),
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Kv(cache) => cache.truncate(len),
            Self::Recurrent(state) => state.truncate(len),
        }
    }

    pub(crate) fn fork(&mut self, len: usize) -> Self {
        match self {
            Self::Kv(cache) => Self::Kv(cache.fork(len)),
            Self::Recurrent(state) => Self::Recurrent(state.clone()),
        }
    }

    pub(crate) fn snapshot(&mut self, len: usize) -> Self {
        match self {
            Self::Kv(cache) => Self::Kv(cache.snapshot(len)),
            Self::Recurrent(state) => Self::Recurrent(state.clone()),
        }
    }

    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Kv(cache) => cache.bytes(),
            Self::Recurrent(state) => state.bytes(),
        }
    }

    pub(crate) fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        match self {
            Self::Kv(cache) => cache.bytes_beside(counted),
            Self::Recurrent(state) => state.bytes(),
        }
    }

    /// Bytes behind a text of this many tokens, of which each takes `token_bytes` where it is kept.
    pub(crate) fn bytes_of(&self, tokens: usize, token_bytes: u64) -> u64 {
        match self {
            Self::Kv(cache) => (cache.all_states(tokens) as u64).saturating_mul(token_bytes),
            Self::Recurrent(state) => state.bytes_of_a_text(),
        }
    }

    /// Bytes of its largest tensor behind a text of this many tokens, and how many states are in that.
    pub(crate) fn largest(&self, tokens: usize, token_bytes: u64) -> (u64, usize) {
        match self {
            Self::Kv(cache) => {
                let states = cache.states(tokens);
                ((states as u64).saturating_mul(token_bytes), states)
            }
            Self::Recurrent(state) => (state.bytes_of_a_text(), 1),
        }
    }
}
