//! The vectors, packed once for all panels.

use std::{marker::PhantomData, ops::Range};

use super::{MicroKernel, aligned, ranges};
use crate::share::share_each;

/// Units of a row that are multiplied at a time: a panel of as many fits an L2 cache of 512 KiB. More would mean less
/// reading and writing of unfinished sums.
const UNITS: usize = 2048;

/// The vectors, in the order in which they pass by the panels: for each range of columns, group by group.
pub(super) struct PackedB<'a, S> {
    values: &'a [f32],
    vectors: Range<usize>,
    /// Steps of a range.
    block: usize,
    kernel: PhantomData<S>,
}

impl<'a, S: MicroKernel> PackedB<'a, S> {
    pub(super) fn pack(kernel: &S, vectors: Range<usize>, buffer: &'a mut Vec<f32>) -> Self {
        let steps = kernel.steps();
        let blocks = steps.div_ceil(UNITS / S::ROW_UNITS);
        let block = steps.div_ceil(blocks);
        let padded = vectors.len().next_multiple_of(S::NR / 3);
        let values = aligned(buffer, padded * steps * S::VECTOR_UNITS);

        let mut rest = &mut *values;
        let mut groups = Vec::new();
        for steps in ranges(0..steps, block) {
            for vectors in ranges(vectors.clone(), S::NR) {
                let width = Self::width(&vectors);
                let (to, others) = rest.split_at_mut(width * steps.len() * S::VECTOR_UNITS);
                rest = others;
                groups.push((vectors, width, steps.clone(), to));
            }
        }
        share_each(groups, |(vectors, width, steps, to)| {
            kernel.vectorize(
                #[inline(always)]
                || {
                    if width == S::NR {
                        // A width that the compiler knows.
                        kernel.pack_vectors(vectors, S::NR, steps, to);
                    } else {
                        kernel.pack_vectors(vectors, width, steps, to);
                    }
                },
            );
        });
        Self { values, vectors, block, kernel: PhantomData }
    }

    pub(super) fn vectors(&self) -> Range<usize> {
        self.vectors.clone()
    }

    /// Steps that are multiplied at a time.
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// The width of the tile that a group of vectors takes.
    pub(super) fn width(vectors: &Range<usize>) -> usize {
        vectors.len().next_multiple_of(S::NR / 3)
    }

    /// A group of [`MicroKernel::NR`] vectors, or the last.
    #[inline(always)]
    pub(super) fn group(&self, vectors: &Range<usize>, steps: &Range<usize>) -> &[f32] {
        let padded = self.vectors.len().next_multiple_of(S::NR / 3);
        let before = padded * steps.start + (vectors.start - self.vectors.start) * steps.len();
        &self.values[before * S::VECTOR_UNITS..][..Self::width(vectors) * steps.len() * S::VECTOR_UNITS]
    }
}
