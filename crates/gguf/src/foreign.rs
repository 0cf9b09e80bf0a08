//! Files that are called `.gguf` and hold something else.

use std::path::Path;

use crate::GgufError;

/// What a file begins with.
pub const MAGIC: [u8; 4] = *b"GGUF";

const AGAIN: &str = "fetch or copy it again";

/// Refuses what is not GGUF of a version that is read, and says what it is.
pub fn check(file: &Path, bytes: &[u8]) -> Result<(), GgufError> {
    let (found, fix) = match bytes.strip_prefix(&MAGIC) {
        None => {
            let (found, fix) = what_else(bytes);
            (found.to_owned(), fix)
        }
        Some(rest) => match rest.first_chunk().map(|version| u32::from_le_bytes(*version)) {
            Some(2 | 3) => return Ok(()),
            None => (format!("has {} bytes, fewer than the header of a GGUF file", bytes.len()), AGAIN),
            Some(1) => (
                "is GGUF of version 1, which was in use for a week of 2023".to_owned(),
                "convert the model again with a llama.cpp of today",
            ),
            // A small number, seen from its other end.
            Some(version) if version & 0xffff == 0 => (
                "is a big-endian GGUF file, and this program reads little-endian ones".to_owned(),
                "fetch the little-endian file, or turn it with gguf-convert-endian of the Python package gguf",
            ),
            Some(version) => (
                format!("is GGUF of version {version}, and this program reads 2 and 3"),
                "take a newer version of this program, or fetch the file again if it should be an older one",
            ),
        },
    };
    Err(GgufError::Foreign { file: file.to_owned(), found, fix })
}

fn what_else(bytes: &[u8]) -> (&'static str, &'static str) {
    let text = bytes.trim_ascii_start();
    // A safetensors header: its length, then JSON.
    let is_safetensors = bytes
        .split_first_chunk()
        .is_some_and(|(length, rest)| u64::from_le_bytes(*length) <= rest.len() as u64 && rest.starts_with(b"{"));
    if bytes.is_empty() {
        ("is empty", AGAIN)
    } else if bytes.starts_with(b"version https://git-lfs") {
        ("is a Git LFS pointer, not the file it points to", "run `git lfs pull` in its folder")
    } else if is_safetensors {
        ("is a safetensors file", "call it model.safetensors, and give the folder that holds it and config.json")
    } else if text.starts_with(b"<") {
        ("is a web page, not a GGUF file", "fetch it again from the address of the file itself")
    } else if text.starts_with(b"{") {
        ("is a JSON text, not a GGUF file", "fetch it again, or give the folder if it is a file of a model's folder")
    } else if bytes.starts_with(b"PK") {
        ("is a zip archive, perhaps of PyTorch, not a GGUF file", "give a GGUF file, or a folder with safetensors")
    } else if [b"ggml", b"lmgg", b"fmgg", b"tjgg", b"algg"].iter().any(|magic| bytes.starts_with(*magic)) {
        ("is of a format of llama.cpp before GGUF", "convert the model again with a llama.cpp of today")
    } else if bytes.iter().take(1 << 12).all(|&byte| byte == 0) {
        ("begins with nothing but zeros", "its download was never finished: fetch it again")
    } else {
        ("does not begin with \"GGUF\"", "give a GGUF file, or fetch it again if it should be one")
    }
}
