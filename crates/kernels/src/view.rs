//! Four-dimensional arrays where they lie in memory.

use std::{marker::PhantomData, ops::Range};

/// `[batch, heads, seq, head_dim]` somewhere in a slice: a row of `head_dim` is contiguous, other axes have strides.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    data: &'a [T],
    shape: [usize; 4],
    strides: [usize; 3],
}

impl<'a, T> View<'a, T> {
    /// `strides`, in elements, are those of batch, heads and seq.
    ///
    /// # Panics
    /// If `data` does not reach as far as they do.
    pub fn new(data: &'a [T], shape: [usize; 4], strides: [usize; 3]) -> Self {
        assert!(reach(shape, strides) <= data.len(), "{shape:?} by {strides:?} in {}", data.len());
        Self { data, shape, strides }
    }

    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// Some tokens of every head.
    ///
    /// # Panics
    /// If there are no such tokens.
    pub fn tokens(self, tokens: Range<usize>) -> Self {
        let [batch, heads, seq, head_dim] = self.shape;
        assert!(tokens.start <= tokens.end && tokens.end <= seq, "{tokens:?} of {seq}");
        let from = (tokens.start * self.strides[2]).min(self.data.len());
        Self { data: &self.data[from..], shape: [batch, heads, tokens.len(), head_dim], ..self }
    }

    /// The vector of one token of one head.
    pub(super) fn row(&self, batch: usize, head: usize, at: usize) -> &'a [T] {
        &self.rows(batch, head, at)[..self.shape[3]]
    }

    /// The vectors of one head from one token on, each [`View::stride`] elements behind the last.
    pub(super) fn rows(&self, batch: usize, head: usize, at: usize) -> &'a [T] {
        &self.data[start(self.shape, self.strides, [batch, head, at])..]
    }

    /// Elements from a vector to the next one of its head.
    pub fn stride(&self) -> usize {
        self.strides[2]
    }
}

/// A [`View`] that several threads write to.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    data: *mut T,
    shape: [usize; 4],
    strides: [usize; 3],
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: as for `&mut [T]`: what the pointer reaches is borrowed for `'a` by this view alone.
unsafe impl<T: Send> Send for ViewMut<'_, T> {}
// SAFETY: through a shared view memory is reached only by `row_mut`, whose caller keeps rows apart.
unsafe impl<T: Send> Sync for ViewMut<'_, T> {}

impl<'a, T> ViewMut<'a, T> {
    /// `strides`, in elements, are those of batch, heads and seq.
    ///
    /// # Panics
    /// If `data` does not reach as far as they do, or if two rows would overlap.
    pub fn new(data: &'a mut [T], shape: [usize; 4], strides: [usize; 3]) -> Self {
        assert!(reach(shape, strides) <= data.len(), "{shape:?} by {strides:?} in {}", data.len());
        assert!(apart(shape, strides), "rows of {shape:?} by {strides:?} overlap");
        Self { data: data.as_mut_ptr(), shape, strides, lifetime: PhantomData }
    }

    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// The same for a while.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        ViewMut { lifetime: PhantomData, ..*self }
    }

    /// The vector of one token of one head.
    ///
    /// # Safety
    /// No other reference to this row may exist.
    #[expect(clippy::mut_from_ref, reason = "rows do not overlap, and the caller keeps each to one thread")]
    pub(super) unsafe fn row_mut(&self, batch: usize, head: usize, at: usize) -> &mut [T] {
        let start = start(self.shape, self.strides, [batch, head, at]);
        // SAFETY: `new` has seen that all rows are within the slice and apart from each other.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), self.shape[3]) }
    }
}

/// One past the last element.
fn reach(shape: [usize; 4], strides: [usize; 3]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    let starts = strides.iter().zip(shape);
    let last: usize = starts.map(|(stride, len)| stride * (len - 1)).sum();
    last + shape[3]
}

/// Whether no two rows share an element: each axis, from the shortest stride on, steps over all axes below it.
fn apart(shape: [usize; 4], strides: [usize; 3]) -> bool {
    let mut axes: [(usize, usize); 3] = std::array::from_fn(|axis| (strides[axis], shape[axis]));
    axes.sort_unstable();
    let mut taken = shape[3];
    let steps_over = |(stride, len): (usize, usize)| {
        let apart = stride >= taken;
        taken += stride * (len - 1);
        apart
    };
    shape.contains(&0) || axes.into_iter().filter(|(_, len)| *len > 1).all(steps_over)
}

fn start(shape: [usize; 4], strides: [usize; 3], at: [usize; 3]) -> usize {
    assert!(at.iter().zip(shape).all(|(at, len)| *at < len), "{at:?} of {shape:?}");
    at.iter().zip(strides).map(|(at, stride)| at * stride).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_find_rows() {
        // Memory is [batch, seq, heads, head_dim].
        let data: Vec<usize> = (0..2 * 3 * 5 * 4).collect();
        let view = View::new(&data, [2, 5, 3, 4], [60, 4, 20]);
        assert_eq!(view.row(1, 2, 1), [88, 89, 90, 91]);
        assert_eq!((view.rows(1, 2, 1).len(), view.stride()), (120 - 88, 20));
        let last = view.tokens(1..3);
        assert_eq!((last.shape(), last.row(1, 2, 0)), ([2, 5, 2, 4], view.row(1, 2, 1)));
        assert_eq!(view.tokens(3..3).shape(), [2, 5, 0, 4]);
    }

    #[test]
    fn rows_that_may_be_written_are_apart() {
        let mut data = vec![0; 120];
        ViewMut::new(&mut data, [2, 5, 3, 4], [60, 4, 20]);
        ViewMut::new(&mut data, [0, 5, 3, 4], [0, 0, 0]);
        ViewMut::new(&mut data, [1, 5, 3, 4], [0, 4, 20]);
        let overlaps = [[2, 5, 3, 4], [2, 5, 3, 6]].into_iter().zip([[0, 4, 20], [60, 4, 20]]);
        for (shape, strides) in overlaps {
            let new = || ViewMut::new(&mut vec![0; 500], shape, strides).shape();
            assert!(std::panic::catch_unwind(new).is_err());
        }
    }
}
