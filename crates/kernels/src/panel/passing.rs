//! The vectors, packed once for all panels.

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;

use super::{Scheme, aligned, ranges};

/// Units of a row that are multiplied at a time: as many as leave a panel room in a second cache of 512 KiB. More mean less
/// reading and writing of unfinished sums.
const UNITS: usize = 2048;

/// The vectors that pass by the panels, in the order in which they do: for each range of columns group by group.
pub(super) struct Passing<'a, S> {
    values: &'a [f32],
    vectors: Range<usize>,
    /// Steps of a range.
    block: usize,
    scheme: PhantomData<S>,
}

impl<'a, S: Scheme> Passing<'a, S> {
    pub(super) fn pack(scheme: &S, vectors: Range<usize>, buffer: &'a mut Vec<f32>) -> Self {
        let steps = scheme.steps();
        let blocks = steps.div_ceil(UNITS / S::ROW_UNITS);
        let block = steps.div_ceil(blocks);
        let padded = vectors.len().next_multiple_of(S::TOGETHER / 3);
        let values = aligned(buffer, padded * steps * S::VECTOR_UNITS);

        let mut rest = &mut *values;
        let mut groups = Vec::new();
        for steps in ranges(0..steps, block) {
            for vectors in ranges(vectors.clone(), S::TOGETHER) {
                let width = Self::width(&vectors);
                let (to, others) = rest.split_at_mut(width * steps.len() * S::VECTOR_UNITS);
                rest = others;
                groups.push((vectors, width, steps.clone(), to));
            }
        }
        groups
            .into_par_iter()
            .for_each(|(vectors, width, steps, to)| {
                scheme.vectorize(
                    #[inline(always)]
                    || match width == S::TOGETHER {
                        // A width that the compiler knows.
                        true => scheme.pack_vectors(vectors, S::TOGETHER, steps, to),
                        false => scheme.pack_vectors(vectors, width, steps, to),
                    },
                );
            });
        Self {
            values,
            vectors,
            block,
            scheme: PhantomData,
        }
    }

    pub(super) fn vectors(&self) -> Range<usize> {
        self.vectors.clone()
    }

    /// Steps that are multiplied at a time.
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// Of the tile that a group of vectors goes through.
    pub(super) fn width(vectors: &Range<usize>) -> usize {
        vectors.len().next_multiple_of(S::TOGETHER / 3)
    }

    /// A group of [`Scheme::TOGETHER`] vectors, or the last.
    #[inline(always)]
    pub(super) fn group(&self, vectors: &Range<usize>, steps: &Range<usize>) -> &[f32] {
        let padded = self.vectors.len().next_multiple_of(S::TOGETHER / 3);
        let before = padded * steps.start + (vectors.start - self.vectors.start) * steps.len();
        &self.values[before * S::VECTOR_UNITS..]
            [..Self::width(vectors) * steps.len() * S::VECTOR_UNITS]
    }
}
