//! Reading from memory while there is enough to multiply.

use std::marker::PhantomData;

use crate::dot::prefetch;

/// Bytes that will be needed soon, read a little at a time.
#[derive(Clone, Copy)]
pub struct Ahead<'a> {
    next: *const u8,
    stride: usize,
    lifetime: PhantomData<&'a [u8]>,
}

impl<'a> Ahead<'a> {
    /// The `part`-th of equal parts of `bytes`, in so many `turns`.
    pub(super) fn new(bytes: &'a [u8], part: usize, parts: usize, turns: usize) -> Self {
        let stride = bytes.len().div_ceil(parts * turns);
        Self {
            next: bytes.as_ptr().wrapping_add(part * turns * stride),
            stride,
            lifetime: PhantomData,
        }
    }

    /// Has some more of them read.
    #[inline(always)]
    pub(super) fn turn(&mut self) {
        prefetch(self.next);
        self.next = self.next.wrapping_add(self.stride);
    }
}
