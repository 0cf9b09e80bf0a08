use thiserror::Error;

/// A sequence that a cache or a device cannot hold, or a way back that a cache does not have.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum CacheError {
    #[error(
        "{positions} positions need {bytes} bytes of keys in one layer, but device {device} binds at most {limit}: \
         ask for fewer (a shorter prompt, --max-new-tokens, --window), or use a device with a larger limit"
    )]
    TooLarge { positions: usize, bytes: u64, limit: u64, device: String },
    #[error(
        "a pass over {seq} positions needs {bytes} bytes for one activation, but device {device} binds at most {limit}: \
         give fewer positions at a time, or use a device with a larger limit"
    )]
    PassTooLarge { seq: usize, bytes: u64, limit: u64, device: String },
    #[error("a pass needs at least one token of each sequence")]
    Empty,
    #[error("the sequences have {given} next tokens together, but the pass has {row}")]
    Tokens { given: usize, row: usize },
    #[error("the attention mask has {padding} rows, but the pass has {batch}")]
    Rows { padding: usize, batch: usize },
    #[error(
        "dual chunk attention counts chunks from the first token, and reads no padded rows: give the texts one by one"
    )]
    PaddedChunks,
    #[error("a cache of {len} tokens cannot be truncated to {asked_for}")]
    Longer { len: usize, asked_for: usize },
    #[error(
        "a cache of {len} tokens cannot go back to {asked_for}: a layer has overwritten states that are seen from there \
         (its policy keeps no more): begin with an empty one, or use --cache full"
    )]
    Overwritten { len: usize, asked_for: usize },
    #[error(
        "a cache of {len} tokens cannot go back to {asked_for}: beyond the trained context rope type {rope} rotates keys \
         by the length of the text: begin with an empty one"
    )]
    RotatedByLength { len: usize, asked_for: usize, rope: &'static str },
    #[error("cache policy {policy} cannot go back: use full, ring or sinks")]
    OneWay { policy: &'static str },
    #[error("a cache of {len} tokens is not empty: reserve rollback before the first pass")]
    Begun { len: usize },
}
