//! A sequence as the model sees it: what it has read, and what it is to read.

use std::{collections::HashSet, num::NonZeroUsize, ops::Range};

use glass_kv_cache::{CacheConfig, CacheError, KvCache};

use crate::{Choice, Error, Llama};

/// What the layers keep of a text, and in what chunks it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefillOptions {
    pub cache: CacheConfig,
    /// Tokens of a prompt that go through the model together. No score tensor is larger than this many queries by the
    /// keys that they see; the logits do not depend on it.
    pub prefill_chunk: NonZeroUsize,
}

impl Default for PrefillOptions {
    /// What the config asks for, in chunks of 512: long enough to keep matrix products busy, short enough that activations
    /// stay small beside the weights and that a reader who waits sees progress.
    fn default() -> Self {
        Self { cache: CacheConfig::default(), prefill_chunk: const { NonZeroUsize::new(512).unwrap() } }
    }
}

impl PrefillOptions {
    /// Whether one pass reads a whole text of so many tokens and computes what the config says, so that nothing of it need
    /// be kept.
    pub fn is_one_exact_pass(self, tokens: usize, llama: &Llama) -> bool {
        let chunk = chunk(self.prefill_chunk, tokens, tokens, llama);
        self.cache.is_exact(&llama.config) && chunk == tokens
    }
}

/// How many of `unread` tokens go through the model next, where the text will have `total`: all of them where a RoPE type
/// rotates by the length of the text, because a shorter pass would rotate otherwise.
fn chunk(prefill_chunk: NonZeroUsize, unread: usize, total: usize, llama: &Llama) -> usize {
    let chunk = prefill_chunk.get();
    if unread <= chunk || llama.depends_on_length(total) { unread } else { chunk }
}

/// A sequence's place in forward passes: its cache, and the tokens that it has not read yet.
///
/// [`step`](crate::step) reads the next tokens of any number of lanes in one pass.
pub struct Lane {
    cache: KvCache,
    unread: Vec<u32>,
    /// Tokens from this position on get logits.
    logits_from: usize,
    /// Those before it are a prompt.
    written_from: usize,
    prefill_chunk: NonZeroUsize,
    /// What will do for logits.
    choice: Choice,
}

impl Lane {
    /// Nothing was read yet.
    ///
    /// # Errors
    /// A cache policy that does not fit the model.
    pub fn new(llama: &Llama, options: PrefillOptions) -> Result<Self, Error> {
        let cache = llama.cache(options.cache)?;
        Ok(Self::from_cache(cache, options.prefill_chunk))
    }

    /// What `cache` holds was read; the policies may be one's own ([`KvCache::from_layers`]).
    pub fn from_cache(cache: KvCache, prefill_chunk: NonZeroUsize) -> Self {
        Self { cache, unread: Vec::new(), logits_from: 0, written_from: 0, prefill_chunk, choice: Choice::Host }
    }

    /// Queues tokens, and asks for the logits behind the last `logits` of them: for how each of those goes on.
    pub fn push(&mut self, ids: &[u32], logits: usize) {
        self.unread.extend_from_slice(ids);
        self.written_from = (self.len() + self.unread.len()).saturating_sub(logits);
        self.logits_from = self.written_from;
    }

    /// Queues the newest of a text's `ids`, the others of which were read, and asks for the logits behind it. Where the model
    /// reads a text of this length again, so do all of them go in the queue.
    ///
    /// # Errors
    /// As [`truncate`](Self::truncate).
    pub(crate) fn push_newest(&mut self, ids: &[u32], llama: &Llama) -> Result<(), CacheError> {
        if llama.config.rereads(self.len(), ids.len()) {
            self.truncate(0)?;
        }
        self.push(&ids[self.len()..], 1);
        Ok(())
    }

    /// Asks for the logits behind all that is queued.
    pub(crate) fn want_all(&mut self) {
        self.logits_from = self.len();
    }

    /// Lets the device choose tokens where it can, so that three numbers are read back instead of logits.
    pub fn set_choice(&mut self, choice: Choice) {
        self.choice = choice;
    }

    /// Tokens read.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    /// Tokens queued.
    pub fn unread(&self) -> usize {
        self.unread.len()
    }

    /// Bytes of keys and values; what forks share counts in each.
    pub fn bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// [`bytes`](Self::bytes) of several lanes together: `counted` notes what they share, so that it counts once.
    pub fn bytes_beside(&self, counted: &mut HashSet<usize>) -> u64 {
        self.cache.bytes_beside(counted)
    }

    /// Bytes of the keys and values of a text of this many tokens, if they are the most that were
    /// [reserved](Self::reserve).
    pub fn bytes_of(&self, tokens: usize) -> u64 {
        self.cache.bytes_of(tokens)
    }

    /// Makes room for a text of at most this many tokens, of which `expected` are likely.
    ///
    /// # Errors
    /// The device cannot hold it.
    pub fn reserve(&mut self, tokens: usize, expected: usize) -> Result<(), CacheError> {
        self.cache.check(tokens)?;
        self.cache.limit(tokens);
        self.cache.reserve(expected);
        Ok(())
    }

    /// As [`KvCache::reserve_rollback`].
    ///
    /// # Errors
    /// A policy that cannot go back, or a lane that has read something.
    pub fn reserve_rollback(&mut self, tokens: usize) -> Result<(), CacheError> {
        self.cache.reserve_rollback(tokens)
    }

    /// Goes back to the first `len` tokens, as [`KvCache::truncate`]; what was queued is dropped.
    ///
    /// # Errors
    /// It cannot: then nothing has changed.
    pub fn truncate(&mut self, len: usize) -> Result<(), CacheError> {
        self.cache.truncate(len)?;
        self.drop_unread();
        Ok(())
    }

    /// Whether the layers hold enough to go back to the first `len` tokens.
    pub fn can_truncate(&self, len: usize) -> bool {
        self.cache.can_truncate(len)
    }

    pub(crate) fn drop_unread(&mut self) {
        self.unread.clear();
    }

    /// Another lane with the same past, which both share; what is queued is copied.
    pub fn fork(&mut self) -> Self {
        Self { cache: self.cache.fork(), unread: self.unread.clone(), choice: self.choice.clone(), ..*self }
    }

    /// Another lane with the same past and nothing queued, from which others begin by snapshots of it; see
    /// [`KvCache::snapshot`].
    pub fn snapshot(&mut self) -> Self {
        Self { cache: self.cache.snapshot(), unread: Vec::new(), choice: self.choice.clone(), ..*self }
    }

    /// A [`snapshot`](Self::snapshot) that this lane goes on from too, so that what is long is there once.
    pub fn shared_snapshot(&mut self) -> Self {
        let mut kept = self.snapshot();
        self.cache = kept.cache.snapshot();
        kept
    }

    /// Whether what it reads next is of a text that is written, not of a prompt.
    pub fn is_writing(&self) -> bool {
        !self.is_empty() && self.written_from <= self.len()
    }

    /// How many tokens it reads next, if `room` are left in the pass. A chunk that must not be cut goes beyond it.
    pub fn next_tokens(&self, room: usize, llama: &Llama) -> usize {
        let unread = self.unread.len();
        let total = self.len() + unread;
        match chunk(self.prefill_chunk, unread, total, llama) {
            chunk if chunk <= room => chunk,
            chunk if room > 0 && llama.depends_on_length(total) => chunk,
            _ => room,
        }
    }

    /// Moves the next `tokens` from the queue to the end of `ids`, the row of a pass: the indices there of those that get
    /// logits, what will do for these, and the cache.
    pub(crate) fn take(&mut self, tokens: usize, ids: &mut Vec<u32>) -> (Range<usize>, &Choice, &mut KvCache) {
        let start = ids.len();
        ids.extend(self.unread.drain(..tokens));
        let skipped = self.logits_from.saturating_sub(self.cache.len()).min(tokens);
        (start + skipped..ids.len(), &self.choice, &mut self.cache)
    }
}
