//! Reading the small files beside a model's weights.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

/// Far larger than any tokenizer, far smaller than a computer's memory.
const MAX_BYTES: u64 = 1 << 30;

/// The contents of `path`; `None` if there is no such file.
///
/// # Errors
/// The file cannot be read or is larger than 1 GiB. Pipes and devices, which might never end, are refused.
pub fn read_small_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if meta.len() > MAX_BYTES {
        return Err(io::Error::other("larger than 1 GiB"));
    }
    fs::read(path).map(Some)
}
