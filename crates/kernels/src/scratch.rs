//! Buffers that operations use again: a token takes hundreds of operations, and none of them needs to ask for memory.

use std::{cell::RefCell, mem::take};

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};

/// Buffers that a thread keeps.
const KEPT: usize = 8;

/// Lines of the largest buffer that is kept: 8 MiB.
const KEPT_LINES: usize = 1 << 17;

/// A cache line.
#[derive(Clone, Copy, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

// SAFETY: 64 bytes of floats, without padding.
unsafe impl Pod for Line {}

thread_local! {
    static SPARE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer at the start of a cache line. Its thread gets it back when it is dropped.
pub struct Scratch {
    /// As long as it has ever been, so that nothing is written where any values will do.
    lines: Vec<Line>,
    used: usize,
}

impl Scratch {
    /// At least `len` numbers, all zero.
    pub fn zeroed<T: Pod>(len: usize) -> Self {
        let mut scratch = Self::of_any_values::<T>(len);
        scratch.lines[..scratch.used].fill(Line::zeroed());
        scratch
    }

    /// At least `len` numbers of any value.
    pub fn of_any_values<T: Pod>(len: usize) -> Self {
        let mut lines = SPARE.with(|spare| spare.borrow_mut().pop()).unwrap_or_default();
        let used = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        if lines.len() < used {
            lines.resize(used, Line::zeroed());
        }
        Self { lines, used }
    }

    #[inline(always)]
    pub fn values<T: Pod>(&self) -> &[T] {
        cast_slice(&self.lines[..self.used])
    }

    pub fn values_mut<T: Pod>(&mut self) -> &mut [T] {
        cast_slice_mut(&mut self.lines[..self.used])
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = take(&mut self.lines);
        // At the end of a thread there may be nothing left to give it to.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < KEPT && lines.capacity() <= KEPT_LINES {
                spare.push(lines);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_zero() {
        let mut first = Scratch::zeroed::<f32>(100);
        first.values_mut::<f32>().fill(1.0);
        let at = first.values::<u8>().as_ptr();
        assert!(at.addr().is_multiple_of(64));
        drop(first);
        let second = Scratch::zeroed::<i8>(300);
        assert_eq!(second.values::<u8>().as_ptr(), at);
        assert!(second.values::<i8>().len() >= 300);
        assert!(second.values::<i8>().iter().all(|value| *value == 0));
        drop(second);
        let third = Scratch::of_any_values::<f32>(100);
        assert_eq!((third.values::<u8>().as_ptr(), third.values::<f32>().len()), (at, 112));
    }
}
