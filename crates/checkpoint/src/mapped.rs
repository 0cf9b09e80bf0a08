//! A tensor's bytes in their mapped file, as Burn's `Bytes`: no copy is made to load them.

use std::{mem::MaybeUninit, ops::Range};

use burn::tensor::{AllocationProperty, Bytes};
use cubecl_environment::bytes::{AccessError, AccessPolicy, AllocationController};
use glass_gguf::Mapping;

/// Burn's alignment for anything: what is written to goes to memory of this element.
type Aligned = u128;

/// Some bytes of a mapped file; the first write to them makes a copy.
struct Mapped {
    file: Mapping,
    range: Range<usize>,
    align: usize,
    copy: Vec<Aligned>,
}

/// The bytes in `range` of `file`, or `None` if they do not begin at a multiple of `align`.
pub(super) fn mapped(file: &Mapping, range: Range<usize>, align: usize) -> Option<Bytes> {
    let bytes = file.bytes(range.clone());
    if !bytes.as_ptr().addr().is_multiple_of(align) {
        return None;
    }
    file.will_need(range.clone());
    let len = bytes.len();
    let mapped = Mapped { file: file.clone(), range, align, copy: Vec::new() };
    // SAFETY: all `len` bytes of the range are there, and a file's bytes are initialized.
    Some(unsafe { Bytes::from_controller(Box::new(mapped), len) })
}

impl Mapped {
    fn uninit(bytes: &[u8]) -> &[MaybeUninit<u8>] {
        // SAFETY: the same memory, of which less is promised.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
    }
}

impl AllocationController for Mapped {
    fn alloc_align(&self) -> usize {
        self.align
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes = if self.copy.is_empty() {
            self.file.bytes(self.range.clone())
        } else {
            &bytemuck::cast_slice(&self.copy)[..self.range.len()]
        };
        Ok(Self::uninit(bytes))
    }

    unsafe fn memory_mut(&mut self, policy: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let len = self.range.len();
        if self.copy.is_empty() {
            if !policy.copy_allowed() {
                return Err(AccessError::WouldCopy);
            }
            let mut copy = vec![0; len.div_ceil(size_of::<Aligned>())];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut copy);
            bytes[..len].copy_from_slice(self.file.bytes(self.range.clone()));
            self.copy = copy;
        }
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.copy);
        // SAFETY: the caller promises to write initialized bytes only.
        Ok(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), len) })
    }

    fn capacity(&self) -> usize {
        self.range.len()
    }

    fn duplicate(&self) -> Option<Box<dyn AllocationController>> {
        // What was written to is its holder's alone.
        self.copy.is_empty().then(|| {
            Box::new(Self { file: self.file.clone(), range: self.range.clone(), align: self.align, copy: Vec::new() })
                as Box<dyn AllocationController>
        })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // Weights that went to another device need not stay in this memory.
        self.file.release(self.range.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of 8 bytes and 1 2 3 4, and where the latter are.
    fn file() -> (Mapping, Range<usize>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).unwrap();
        (Mapping::open(&path).unwrap(), 8..12)
    }

    #[test]
    fn the_file_is_never_written_to() {
        let (file, range) = file();
        let mut bytes = mapped(&file, range.clone(), 4).unwrap();
        let other = bytes.clone();
        assert!(std::ptr::eq(&bytes[..], &other[..]), "both are the file");
        bytes[0] = 9;
        assert_eq!(bytes[..], [9, 2, 3, 4]);
        let copy = bytes.clone();
        bytes[1] = 8;
        assert_eq!(copy[..], [9, 2, 3, 4]);
        drop(bytes);
        assert_eq!(other[..], [1, 2, 3, 4]);
        assert_eq!(file.bytes(range), [1, 2, 3, 4]);
    }

    #[test]
    fn what_lies_askew_is_not_shown() {
        let (file, range) = file();
        assert!(mapped(&file, range.start + 1..range.end, 2).is_none());
        assert!(mapped(&file, range.start + 2..range.end, 2).is_some());
    }
}
