//! Software prefetch: memory is asked for while there is something else to compute.

use std::marker::PhantomData;

/// Starts to read a cache line.
#[inline(always)]
pub fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Starts to read the lines that lie so many bytes behind these.
#[inline(always)]
pub fn prefetch_lines(bytes: &[u8], ahead: usize) {
    const LINE: usize = 64;
    for line in bytes.chunks(LINE) {
        prefetch(line.as_ptr().wrapping_add(ahead));
    }
}

/// Bytes that are needed soon, prefetched a little at a time.
#[derive(Clone, Copy)]
pub struct Prefetcher<'a> {
    next: *const u8,
    stride: usize,
    lifetime: PhantomData<&'a [u8]>,
}

impl<'a> Prefetcher<'a> {
    /// Part `part` of `parts` equal ones of `bytes`, in `steps` steps.
    pub fn new(bytes: &'a [u8], part: usize, parts: usize, steps: usize) -> Self {
        let stride = bytes.len().div_ceil(parts * steps);
        Self { next: bytes.as_ptr().wrapping_add(part * steps * stride), stride, lifetime: PhantomData }
    }

    /// Prefetches the next step.
    #[inline(always)]
    pub fn step(&mut self) {
        prefetch(self.next);
        self.next = self.next.wrapping_add(self.stride);
    }
}
