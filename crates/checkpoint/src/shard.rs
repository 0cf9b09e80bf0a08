//! One safetensors file: mapped into memory, its header checked.
//!
//! Layout (<https://huggingface.co/docs/safetensors>): 8 bytes little-endian header length, a JSON header
//! `{name: {dtype, shape, data_offsets}}`, then the data, which the tensors cover without hole or overlap.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, SafeTensorError, TensorInfo};
use serde_json::{Map, Value};

use crate::error::CheckpointError;

/// How the text that Git LFS leaves in place of a big file begins.
pub(super) const LFS_POINTER: &[u8] = b"version https://git-lfs";

const LENGTH_BYTES: usize = 8;

/// The format's own limit, against headers that would take all memory to parse.
pub(super) const MAX_HEADER: u64 = 100_000_000;

pub(super) struct Shard {
    pub path: PathBuf,
    map: Mmap,
}

/// What the header says of one tensor; `range` counts from the start of the file.
pub(super) struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

impl Shard {
    /// Maps `path` and reads its header. Every returned range lies inside the file.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), CheckpointError> {
        require_file(path)?;
        let unreadable = |source| CheckpointError::Read {
            file: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.len() == 0 {
            return Err(CheckpointError::Empty(path.to_owned()));
        }
        // SAFETY: the map is read-only. Nobody may truncate the file while a model computes with it; that holds for every
        // memory map, and many gigabytes that each process holds for itself are the only alternative. Whoever saves over a
        // model puts a new file in its place, as `Saving` does.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let entries = read_header(path, &map)?;
        let path = path.to_owned();
        Ok((Self { path, map }, entries))
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.map[range]
    }

    /// Lets the system start reading, which it does faster in one go than page by page.
    pub fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        {
            // Only a hint.
            let _ = self
                .map
                .advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = range;
    }

    /// A page that was looked at counts as this process's memory until it is given back: without this, loading would
    /// take twice the model's size.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        {
            // SAFETY: the map is a read-only view of a file, so that a dropped page comes back as it was.
            let dropped = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.len(),
                )
            };
            // Only a hint: where the system refuses it, the memory is given back when the file is closed.
            let _ = dropped;
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

/// Refuses what is not a regular file, before it is opened: opening a pipe would wait for ever.
pub(super) fn require_file(path: &Path) -> Result<(), CheckpointError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(CheckpointError::NotAFile(path.to_owned())),
        Err(source) => Err(CheckpointError::Read {
            file: path.to_owned(),
            source,
        }),
    }
}

fn read_header(path: &Path, bytes: &[u8]) -> Result<Vec<Entry>, CheckpointError> {
    let broken = |reason: String| CheckpointError::Header {
        file: path.to_owned(),
        reason,
    };
    if bytes.starts_with(LFS_POINTER) {
        return Err(CheckpointError::LfsPointer(path.to_owned()));
    }
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(broken(format!(
            "has {} bytes, fewer than the 8 of the header length",
            bytes.len()
        )));
    };
    let length = u64::from_le_bytes(*length);
    if length == 0 || length > MAX_HEADER {
        return Err(broken(format!(
            "claims a header of {length} bytes (1 to {MAX_HEADER} are possible)"
        )));
    }
    let length = length as usize; // at most MAX_HEADER
    let Some(header) = rest.get(..length) else {
        return Err(broken(format!(
            "claims a header of {length} bytes in a file of {} bytes",
            bytes.len()
        )));
    };
    let header: Map<String, Value> = serde_json::from_slice(header)
        .map_err(|error| broken(format!("its header is not a JSON object ({error})")))?;

    let data = LENGTH_BYTES + length;
    let (metadata, names) = validate(path, header)?;
    // The crate's own comparison adds without a check and can overflow on a hostile header, hence this one.
    let described = data as u128 + metadata.data_len() as u128;
    if described != bytes.len() as u128 {
        return Err(CheckpointError::Length {
            file: path.to_owned(),
            actual: bytes.len() as u64,
            expected: described,
        });
    }
    Ok(names
        .into_iter()
        .filter_map(|name| {
            let info = metadata.info(&name)?;
            let (start, end) = info.data_offsets;
            Some(Entry {
                dtype: info.dtype,
                shape: info.shape.clone(),
                range: data + start..data + end,
                name,
            })
        })
        .collect())
}

/// Lets the safetensors crate judge the header: first tensor by tensor, since only then is it known which one is wrong,
/// then all together, for holes and overlaps.
fn validate(
    path: &Path,
    header: Map<String, Value>,
) -> Result<(Metadata, Vec<String>), CheckpointError> {
    let wrong = |tensor: &str, reason: String| CheckpointError::Tensor {
        file: path.to_owned(),
        tensor: tensor.to_owned(),
        reason,
    };
    let mut tensors = Vec::with_capacity(header.len());
    for (name, value) in header {
        if name == "__metadata__" {
            continue;
        }
        let info: TensorInfo =
            serde_json::from_value(value).map_err(|error| wrong(&name, error.to_string()))?;
        let (start, end) = info.data_offsets;
        let Some(size) = end.checked_sub(start) else {
            return Err(wrong(
                &name,
                format!("its data ends at {end}, before its start {start}"),
            ));
        };
        let alone = TensorInfo {
            dtype: info.dtype,
            shape: info.shape.clone(),
            data_offsets: (0, size),
        };
        if let Err(error) = Metadata::new(None, vec![(name.clone(), alone)]) {
            let shape = &info.shape;
            let reason = match error {
                SafeTensorError::ValidationOverflow => {
                    format!("shape {shape:?} has more elements than can be counted")
                }
                _ => format!(
                    "shape {shape:?} of {} does not make the {size} bytes of its data",
                    info.dtype
                ),
            };
            return Err(wrong(&name, reason));
        }
        tensors.push((name, info));
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let names = tensors.iter().map(|(name, _)| name.clone()).collect();
    let metadata = Metadata::new(None, tensors).map_err(|error| match error {
        SafeTensorError::InvalidOffset(name) => wrong(
            &name,
            "its data overlaps that of another tensor or leaves a hole before it".into(),
        ),
        other => CheckpointError::Header {
            file: path.to_owned(),
            reason: other.to_string(),
        },
    })?;
    Ok((metadata, names))
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
        let whole = [
            &(header.len() as u64).to_le_bytes(),
            header.as_bytes(),
            &[7; 40],
        ]
        .concat();
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
                    assert!(
                        error.to_string().contains("damaged"),
                        "round {round}: {error}"
                    );
                }
            }
        }
        assert!(
            opened > 500 && refused > 10_000,
            "{opened} opened, {refused} refused"
        );
    }
}
