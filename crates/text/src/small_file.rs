//! The small files beside a model's weights.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

/// Far above any real tokenizer, far below what would fill the memory.
const LARGEST: u64 = 1 << 30;

/// The contents of `path`; `None` if there is no such file.
///
/// # Errors
/// Whatever keeps it from being read. Pipes and devices, which might never end, are refused.
pub fn read_small_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if meta.len() > LARGEST {
        return Err(io::Error::other("larger than 1 GiB"));
    }
    fs::read(path).map(Some)
}
