//! One safetensors file: mapped or in memory, its header checked.
//!
//! Layout (<https://huggingface.co/docs/safetensors>): 8 bytes little-endian header length, a JSON header
//! `{name: {dtype, shape, data_offsets}}`, then the data, which the tensors cover without hole or overlap.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use glass_gguf::Mapping;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value};

use crate::error::CheckpointError;

/// How the text that Git LFS leaves in place of a big file begins.
pub(super) const LFS_POINTER: &[u8] = b"version https://git-lfs";

const LENGTH_BYTES: usize = 8;

/// The format's own limit, against headers that would take all memory to parse.
pub(super) const MAX_HEADER: u64 = 100_000_000;

/// What the header says of one tensor; `range` counts from the start of the file.
pub(super) struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

/// Maps the file at `path` and reads its header. Every returned range lies inside the file.
pub(super) fn open(path: &Path) -> Result<(Mapping, Vec<Entry>), CheckpointError> {
    require_file(path)?;
    let mapping = Mapping::open(path).map_err(|source| CheckpointError::Read { file: path.to_owned(), source })?;
    let entries = read_header(path, mapping.whole())?;
    Ok((mapping, entries))
}

/// As [`open`], of a file in memory; `path` names it in errors.
pub(super) fn in_memory(path: &Path, bytes: Cow<'static, [u8]>) -> Result<(Mapping, Vec<Entry>), CheckpointError> {
    let entries = read_header(path, &bytes)?;
    Ok((Mapping::in_memory(path, bytes), entries))
}

/// Refuses what is not a regular file, before it is opened: opening a pipe would wait for ever.
pub(super) fn require_file(path: &Path) -> Result<(), CheckpointError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(CheckpointError::NotAFile(path.to_owned())),
        Err(source) => Err(CheckpointError::Read { file: path.to_owned(), source }),
    }
}

fn read_header(path: &Path, bytes: &[u8]) -> Result<Vec<Entry>, CheckpointError> {
    let broken = |reason: String| CheckpointError::Header { file: path.to_owned(), reason };
    if bytes.is_empty() {
        return Err(CheckpointError::Empty(path.to_owned()));
    }
    if bytes.starts_with(LFS_POINTER) {
        return Err(CheckpointError::LfsPointer(path.to_owned()));
    }
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(broken(format!("has {} bytes, fewer than the 8 of the header length", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length == 0 || length > MAX_HEADER {
        return Err(broken(format!("claims a header of {length} bytes (1 to {MAX_HEADER} are possible)")));
    }
    let length = length as usize; // at most MAX_HEADER
    let Some(header) = rest.get(..length) else {
        return Err(broken(format!("claims a header of {length} bytes in a file of {} bytes", bytes.len())));
    };
    let header: Map<String, Value> =
        serde_json::from_slice(header).map_err(|error| broken(format!("its header is not a JSON object ({error})")))?;

    let (tensors, end) = tensors(path, header)?;
    let data = LENGTH_BYTES + length;
    // In 128 bits: a hostile header can make the sum overflow 64.
    let described = data as u128 + end as u128;
    if described != bytes.len() as u128 {
        return Err(CheckpointError::Length { file: path.to_owned(), actual: bytes.len() as u64, expected: described });
    }
    let entries = tensors.into_iter().map(|(name, info)| {
        let (start, end) = info.data_offsets;
        Entry { name, dtype: info.dtype, shape: info.shape, range: data + start..data + end }
    });
    Ok(entries.collect())
}

/// The header's tensors in the order of their data, which must follow each other without hole or overlap, and the end of
/// that data. The safetensors crate checks the same, and does not say which tensor is wrong.
fn tensors(path: &Path, header: Map<String, Value>) -> Result<(Vec<(String, TensorInfo)>, usize), CheckpointError> {
    let wrong = |tensor: &str, reason: String| CheckpointError::Tensor {
        file: path.to_owned(),
        tensor: tensor.to_owned(),
        reason,
    };
    let mut tensors = Vec::with_capacity(header.len());
    for (name, value) in header {
        if name != "__metadata__" {
            let info: TensorInfo = serde_json::from_value(value).map_err(|error| wrong(&name, error.to_string()))?;
            tensors.push((name, info));
        }
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let mut covered = 0;
    for (name, info) in &tensors {
        let (shape, (start, end)) = (&info.shape, info.data_offsets);
        let elements = shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d));
        let bits = elements.and_then(|n| n.checked_mul(info.dtype.bitsize()));
        let reason = match (end.checked_sub(start), bits) {
            (None, _) => format!("its data ends at {end}, before its start {start}"),
            (_, None) => format!("shape {shape:?} has more elements than can be counted"),
            (Some(size), Some(bits)) if size as u128 * 8 != bits as u128 => {
                format!("shape {shape:?} of {} does not make the {size} bytes of its data", info.dtype)
            }
            _ if start != covered => "its data overlaps that of another tensor or leaves a hole before it".to_owned(),
            _ => {
                covered = end;
                continue;
            }
        };
        return Err(wrong(name, reason));
    }
    Ok((tensors, covered))
}

#[cfg(test)]
mod tests {
    use glass_testing::Random;

    use super::*;

    /// Whatever happens to a file, reading its header answers, and every tensor it lets through lies inside the file.
    #[test]
    fn damage_never_panics() {
        let header = r#"{"q":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"k":{"dtype":"F16","shape":[4],
            "data_offsets":[24,32]},"v":{"dtype":"I64","shape":[],"data_offsets":[32,40]}}"#;
        let whole = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[7; 40]].concat();
        let mut random = Random::new(1);
        let mut random = |below: usize| random.below(below);
        let (mut opened, mut refused) = (0, 0);
        for round in 0..20_000 {
            let mut file = whole.clone();
            for _ in 0..1 + random(4) {
                let at = random(file.len());
                match random(6) {
                    0 => file.truncate(at + 1),
                    1 => {
                        file.insert(at, b'1');
                        file.pop();
                    }
                    2 => file.insert(at, random(256) as u8),
                    // Digits and punctuation keep the JSON readable more often than arbitrary bytes do.
                    3 | 4 => file[at] = b"0123456789[]{},:\" "[random(18)],
                    _ => file[at] ^= 1 << random(8),
                }
            }
            match read_header(Path::new("damaged"), &file) {
                Ok(entries) => {
                    opened += 1;
                    for entry in entries {
                        let bits = entry.shape.iter().product::<usize>() * entry.dtype.bitsize();
                        let bytes = file.get(entry.range).expect("a range inside the file");
                        assert_eq!(bytes.len() * 8, bits, "round {round}, {}", entry.name);
                    }
                }
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("damaged"), "round {round}: {error}");
                }
            }
        }
        assert!(opened > 500 && refused > 10_000, "{opened} opened, {refused} refused");
    }
}
