use std::num::NonZeroUsize;

use glass_kv_cache::CacheConfig;

/// What a [`Service`](super::Service) may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServiceOptions {
    /// Texts that are written at once, at most. Each of a request's `n` texts counts.
    pub parallel: NonZeroUsize,
    /// Requests that wait beside them, at most.
    pub queue: usize,
    /// Tokens of one text, its prompt included; the model's own context, if that is shorter or nothing is said.
    pub context: Option<NonZeroUsize>,
    /// Tokens of prompts that one step reads, at most, beside one token of each text that is being written. A prompt is read in
    /// pieces of as many: it keeps the other texts waiting for one piece at a time. Rounded up to a multiple of 64.
    pub step_tokens: NonZeroUsize,
    /// Bytes for the keys and values of the texts that are being written. A request waits until those that it may come to need
    /// fit. `None`: as many as `parallel` texts of `context` tokens need.
    pub memory: Option<u64>,
    /// Bytes for the keys and values of beginnings that are kept for prompts to come; 0: none are kept.
    pub cache_memory: u64,
    pub reuse: Reuse,
    /// What the layers keep of a text: of every text, whatever its own options say.
    pub cache: CacheConfig,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            parallel: const { NonZeroUsize::new(16).unwrap() },
            queue: 256,
            context: None,
            step_tokens: const { NonZeroUsize::new(128).unwrap() },
            memory: None,
            cache_memory: 1 << 30,
            reuse: Reuse::Exact,
            cache: CacheConfig::default(),
        }
    }
}

/// Which keys and values a prompt takes over from a text before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Those that it would compute itself, bit for bit: whole pieces of prompts. So no text depends on what was asked before.
    #[default]
    Exact,
    /// Those of the same tokens, however they were computed: the last incomplete piece of a prompt too, and what was
    /// generated. They are the same up to rounding.
    Everything,
}
