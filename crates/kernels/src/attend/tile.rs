//! Tiles: which keys and queries are computed together.

use std::ops::Range;

use super::{Kept, Segment, Softmax, by_lane::ByLane, by_row::ByRow, softmax::Part};
use crate::{
    isa::{Isa, Kernel},
    simd_ext::SimdExt,
};

/// Some queries of all heads that share one key/value head, query by query: row `i` is head `i % groups` of query
/// `i / groups`.
pub(super) struct Tile<'a, K> {
    pub segments: &'a [Segment<'a, K>],
    pub first_query: usize,
    pub softmax: Softmax<'a>,
    pub batch: usize,
    pub kv_head: usize,
    pub groups: usize,
    pub queries: Range<usize>,
    pub head_dim: usize,
}

/// Slots of one segment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub segment: usize,
    pub slots: Range<usize>,
}

impl<K: Kept> Tile<'_, K> {
    pub fn rows(&self) -> usize {
        self.groups * self.queries.len()
    }

    /// Batch row, head and query.
    pub fn index(&self, row: usize) -> [usize; 3] {
        let head = self.kv_head * self.groups + row % self.groups;
        [self.batch, head, self.queries.start + row / self.groups]
    }

    /// The queries of a segment, `[rows, head_dim]` row by row.
    pub fn queries(&self, segment: usize) -> impl Iterator<Item = &[f32]> {
        (0..self.rows()).map(move |row| {
            let [batch, head, query] = self.index(row);
            self.segments[segment].q.row(batch, head, query)
        })
    }

    /// What each query sees of a segment.
    pub fn visible(&self, segment: usize) -> impl Iterator<Item = [Range<usize>; 2]> {
        let positions = self.positions();
        positions.map(move |query| self.segments[segment].visible(query..query + 1))
    }

    /// What at least one query sees.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        let segments = self.segments.iter().enumerate();
        segments.flat_map(|(segment, of)| {
            let runs = of.visible(self.positions()).into_iter();
            runs.map(move |slots| Run { segment, slots })
        })
    }

    /// Those of its queries.
    fn positions(&self) -> Range<usize> {
        self.first_query + self.queries.start..self.first_query + self.queries.end
    }

    /// What the queries find in these runs.
    pub fn part(&self, isa: Isa, runs: impl Iterator<Item = Run>) -> Part {
        let mut part = Part::new(self.rows(), self.head_dim);
        isa.run(Attend { tile: self, runs, part: &mut part });
        part
    }
}

struct Attend<'a, 'b, K, R> {
    tile: &'a Tile<'b, K>,
    runs: R,
    part: &'a mut Part,
}

impl<K: Kept, R: Iterator<Item = Run>> Kernel for Attend<'_, '_, K, R> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        let Self { tile, runs, part } = self;
        // With a row in each lane, half of the lanes or more would be empty.
        if 2 * tile.rows() <= S::F32_LANES {
            ByRow { tile, runs, part }.run(simd);
        } else {
            ByLane { tile, runs, part }.run(simd);
        }
    }
}

/// Of all keys in these runs, one behind the other, those in `keys`.
pub(super) fn cut(runs: impl Iterator<Item = Run>, keys: Range<usize>) -> impl Iterator<Item = Run> {
    let mut before = 0;
    let within = runs.map(move |Run { segment, slots }| {
        let first = slots.start;
        let part = |at: usize| first + at.saturating_sub(before).min(slots.len());
        let part = part(keys.start)..part(keys.end);
        before += slots.len();
        Run { segment, slots: part }
    });
    within.filter(|run| !run.slots.is_empty())
}
