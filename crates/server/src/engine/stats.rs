/// What a service does now, and has done since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Texts that are being written, or whose prompt is being read.
    pub running: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Bytes of keys and values that the running texts may come to need: never more than
    /// [`ServiceOptions::memory`](super::ServiceOptions::memory).
    pub planned_bytes: u64,
    /// Bytes of the beginnings that are kept, each counted once; never more than
    /// [`ServiceOptions::cache_memory`](super::ServiceOptions::cache_memory).
    pub cache_bytes: u64,
    /// Beginnings that are kept.
    pub cache_entries: usize,
    /// Tokens of prompts that were asked for ...
    pub prompt_tokens: u64,
    /// ... those that were there already ...
    pub cached_tokens: u64,
    /// ... and tokens that were generated.
    pub generated_tokens: u64,
    pub steps: u64,
    /// Requests by how they ended: of themselves, ...
    pub finished: u64,
    /// ... by an error, ...
    pub failed: u64,
    /// ... because nobody waited for them any more, ...
    pub abandoned: u64,
    /// ... or before they began, because the queue was full.
    pub refused: u64,
}
