//! The header of one file: keys, and where each tensor lies.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use crate::cursor::Cursor;
use crate::error::quoted;
use crate::{GgmlType, GgufError, Metadata, Value, foreign};

/// The key with what the data of a tensor begins at a multiple of, and what that is without it.
pub const ALIGNMENT: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u32 = 32;

const MAX_DIMENSIONS: u32 = 4;

/// The bytes of magic and version, of the shortest key (name, type and value), and of the shortest tensor (name, number of
/// dimensions, type and offset).
const PREAMBLE: usize = 8;
const LEAST_KEY: usize = 8 + 4 + 1;
const LEAST_TENSOR: usize = 8 + 4 + 4 + 8;

pub struct Header {
    pub metadata: Metadata,
    pub tensors: Vec<Entry>,
    /// Bytes behind the last tensor and its padding.
    pub beyond: usize,
}

/// What the header says of one tensor; `range` counts from the start of the file.
pub struct Entry {
    pub name: String,
    pub ty: GgmlType,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

/// What the header says of one tensor, as it says it.
struct Info {
    name: String,
    shape: Vec<usize>,
    ty: u32,
    /// From where the data of all tensors begins.
    offset: u64,
}

/// Reads the header of `file`, whose bytes are these. Every range lies inside the file, and no two overlap.
pub fn read(file: &Path, bytes: &[u8]) -> Result<Header, GgufError> {
    foreign::check(file, bytes)?;
    let damaged = |place: &str, reason| GgufError::Damaged { file: file.to_owned(), place: place.to_owned(), reason };
    let mut cursor = Cursor::new(bytes, PREAMBLE);
    let tensors = cursor.count(LEAST_TENSOR, "tensors").map_err(|reason| damaged("header", reason))?;
    let keys = cursor.count(LEAST_KEY, "keys").map_err(|reason| damaged("header", reason))?;

    let mut metadata = Metadata::new(file);
    for number in 1..=keys {
        let mut place = format!("key {number} of {keys}");
        key(&mut cursor, &mut metadata, &mut place).map_err(|reason| damaged(&place, reason))?;
    }
    let alignment = alignment(&metadata).map_err(|reason| damaged(ALIGNMENT, reason))?;

    let mut infos = Vec::new();
    let mut names = HashSet::new();
    for number in 1..=tensors {
        let mut place = format!("tensor {number} of {tensors}");
        let info = info(&mut cursor, &mut place).map_err(|reason| damaged(&place, reason))?;
        if !names.insert(info.name.clone()) {
            return Err(damaged(&place, "a tensor before it has the same name".to_owned()));
        }
        infos.push(info);
    }
    let (tensors, end) = entries(file, infos, cursor.at, alignment.into(), bytes.len())?;
    Ok(Header { metadata, tensors, beyond: bytes.len().saturating_sub(end) })
}

/// Reads one key; `place` gets its name as soon as it is known.
fn key(cursor: &mut Cursor, metadata: &mut Metadata, place: &mut String) -> Result<(), String> {
    let key = cursor.name()?;
    *place = format!("key {}", quoted(key));
    let ty = cursor.value_type()?;
    let value = cursor.value(ty)?;
    match metadata.insert(key, value) {
        None => Ok(()),
        Some(_) => Err("it is there twice".to_owned()),
    }
}

/// What tensors' data begins at multiples of.
///
/// # Errors
/// The key says something else than a power of two that is a multiple of 8.
pub fn alignment(metadata: &Metadata) -> Result<u32, String> {
    match metadata.get(ALIGNMENT) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&Value::U32(bytes)) if bytes.is_power_of_two() && bytes >= 8 => Ok(bytes),
        Some(other) => Err(format!("it is {other}, and must be a u32 that is a power of two and a multiple of 8")),
    }
}

/// Reads what the header says of one tensor; `place` gets its name as soon as it is known.
fn info(cursor: &mut Cursor, place: &mut String) -> Result<Info, String> {
    let name = cursor.name()?;
    *place = format!("tensor {}", quoted(name));
    let dimensions: u32 = cursor.number()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(format!("it has {dimensions} dimensions, and {MAX_DIMENSIONS} are possible"));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size: u64 = cursor.number()?;
        let size = usize::try_from(size).map_err(|_| format!("a dimension of {size} is too large to be counted"))?;
        shape.push(size);
    }
    // The file has the innermost first.
    shape.reverse();
    Ok(Info { name: name.to_owned(), shape, ty: cursor.number()?, offset: cursor.number()? })
}

/// Where the tensors lie in a file of `length` bytes whose header ends at `header`, and where the padding of the last ends.
/// Data follows data without overlap, and without holes but for those that alignment makes, as llama.cpp demands.
fn entries(
    file: &Path,
    mut infos: Vec<Info>,
    header: usize,
    alignment: u128,
    length: usize,
) -> Result<(Vec<Entry>, usize), GgufError> {
    let damaged = |name: &str, reason| {
        let place = format!("tensor {}", quoted(name));
        GgufError::Damaged { file: file.to_owned(), place, reason }
    };
    infos.sort_by_key(|info| info.offset);
    let mut entries = Vec::new();
    // In 128 bits: a hostile header can make a sum overflow 64.
    let data = (header as u128).next_multiple_of(alignment);
    let (mut end, mut free) = (header as u128, data);
    for Info { name, shape, ty, offset } in infos {
        let ty = ggml_type(file, &name, ty)?;
        let bytes = ty.bytes(&shape).map_err(|reason| damaged(&name, reason))?;
        let start = data + u128::from(offset);
        if start != free {
            let what = match start {
                _ if !start.is_multiple_of(alignment) => format!("at no multiple of the alignment, {alignment}"),
                _ if start < free => "within that of another tensor".to_owned(),
                _ => format!("behind a hole of {} bytes", start - free),
            };
            return Err(damaged(&name, format!("its data begins at byte {offset} of the data, {what}")));
        }
        end = start + bytes as u128;
        free = end.next_multiple_of(alignment);
        // What is past the end of the file is refused below.
        entries.push(Entry { name, ty, shape, range: start as usize..end as usize });
    }
    if end > length as u128 {
        return Err(GgufError::CutShort { file: file.to_owned(), actual: length as u64, expected: end });
    }
    Ok((entries, free.min(length as u128) as usize))
}

fn ggml_type(file: &Path, tensor: &str, number: u32) -> Result<GgmlType, GgufError> {
    GgmlType::from_number(number).ok_or_else(|| {
        let (name, fix) = match GgmlType::removed(number) {
            Some(name) => {
                (format!("{name}, which the format no longer has"), "take a file of another type, such as Q4_0")
            }
            None => (
                format!("{number}, which is unknown"),
                "take a file of another type, or fetch it again if it may be damaged",
            ),
        };
        GgufError::Foreign {
            file: file.to_owned(),
            found: format!("has tensor {} of type {name}", quoted(tensor)),
            fix,
        }
    })
}
