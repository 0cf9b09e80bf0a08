//! Attention of a few rows, as in decoding: vectors run along `head_dim`. Each key and each value is read from memory once, and
//! that takes the time: values are asked for while their keys are multiplied, and meanwhile the next keys.

use std::ops::Range;

use super::{
    Kept,
    kept::Vectors,
    mask::hidden,
    row_products::{BLOCK, scores, weighted_sum},
    soft_cap,
    softmax::{Part, Sums},
    tile::{Run, Tile},
};
use crate::{
    exp::exp,
    scratch::Scratch,
    simd_ext::{MAX_LANES, SimdExt},
};

pub(super) struct ByRow<'a, 'b, K, R> {
    pub tile: &'a Tile<'b, K>,
    pub runs: R,
    pub part: &'a mut Part,
}

impl<K: Kept, R: Iterator<Item = Run>> ByRow<'_, '_, K, R> {
    #[inline(always)]
    pub(super) fn run<S: SimdExt>(self, simd: S) {
        let Self { tile, runs, part } = self;
        let head_dim = tile.head_dim;
        let head = [tile.batch, tile.kv_head];
        let mut queries = Scratch::zeroed::<f32>(tile.rows() * head_dim); // [rows, head_dim]
        let queries: &mut [f32] = queries.values_mut();
        let mut sums = part.sums();
        // A query for each of the rows, which are half of the lanes at most.
        let mut visible = [const { [0..0, 0..0] }; MAX_LANES / 2];
        let mut of = None;
        for Run { segment, slots } in runs {
            let (k, v) = (tile.segments[segment].k, tile.segments[segment].v);
            if of.replace(segment) != Some(segment) {
                for (scaled, query) in queries.chunks_exact_mut(head_dim).zip(tile.queries(segment)) {
                    for (scaled, q) in scaled.iter_mut().zip(query) {
                        *scaled = q * tile.softmax.scale;
                    }
                }
                for (to, of_query) in visible.iter_mut().zip(tile.visible(segment)) {
                    *to = of_query;
                }
            }
            for start in slots.clone().step_by(BLOCK) {
                let keys = start..slots.end.min(start + BLOCK);
                let block = Block {
                    groups: tile.groups,
                    soft_cap: tile.softmax.soft_cap,
                    visible: &visible,
                    k: k.vectors(head, &keys),
                    v: v.vectors(head, &keys),
                    next: next(k, head, &slots, keys.end),
                    keys,
                    head_dim,
                };
                // Rows, keys and vectors at a time: sums enough to hide the latency of an addition, and no more
                // than the registers hold.
                let many = S::REGISTER_COUNT >= 32;
                let mut row = 0;
                while row < tile.rows() {
                    row += match tile.rows() - row {
                        1 => block.rows::<S, 1, 4, 4>(simd, row, queries, &mut sums),
                        2 => block.rows::<S, 2, 4, 4>(simd, row, queries, &mut sums),
                        3 if many => block.rows::<S, 3, 4, 4>(simd, row, queries, &mut sums),
                        3 => block.rows::<S, 3, 2, 2>(simd, row, queries, &mut sums),
                        _ if many => block.rows::<S, 4, 4, 4>(simd, row, queries, &mut sums),
                        _ => block.rows::<S, 4, 2, 2>(simd, row, queries, &mut sums),
                    };
                }
            }
        }
    }
}

/// The keys behind slot `end` of these slots, or else the first of the next head, as many as a block has. What else comes next
/// is found without being asked for.
#[inline(always)]
fn next<K: Kept>(k: K, [batch, head]: [usize; 2], slots: &Range<usize>, end: usize) -> (K::Vectors, usize) {
    let (head, start) = if end < slots.end {
        (head, end)
    } else if head + 1 < k.shape()[1] {
        (head + 1, slots.start)
    } else {
        return (k.vectors([batch, head], slots), 0);
    };
    let keys = start..slots.end.min(start + BLOCK);
    (k.vectors([batch, head], &keys), keys.len())
}

/// A block of keys and their values.
struct Block<'a, V> {
    groups: usize,
    soft_cap: Option<f32>,
    /// What each query sees.
    visible: &'a [[Range<usize>; 2]],
    keys: Range<usize>,
    k: V,
    v: V,
    /// The keys that come next, and how many.
    next: (V, usize),
    head_dim: usize,
}

impl<V: Vectors> Block<'_, V> {
    /// Takes in the block for R rows from `row` on; returns R.
    #[inline(always)]
    fn rows<S: SimdExt, const R: usize, const K: usize, const C: usize>(
        &self,
        simd: S,
        row: usize,
        queries: &[f32],
        sums: &mut Sums<'_>,
    ) -> usize {
        let (len, start) = (self.keys.len(), self.keys.start);
        let columns = row * self.head_dim..(row + R) * self.head_dim;
        let mut weights = [[0.0; BLOCK]; R];
        // SAFETY: there is a vector for each of the keys.
        unsafe { scores::<S, V, R, K>(simd, &queries[columns.clone()], self.k, len, self.v, &mut weights) };
        let padded = len.next_multiple_of(S::F32_LANES);
        let mut factors = [0.0; R];
        for (at, scores) in weights.iter_mut().enumerate() {
            let scores = &mut scores[..padded];
            if let Some(cap) = self.soft_cap {
                soft_cap(simd, cap, scores);
            }
            let visible = &self.visible[(row + at) / self.groups];
            hidden(visible, self.keys.clone(), |gap| {
                scores[gap.start - start..gap.end - start].fill(f32::NEG_INFINITY);
            });
            scores[len..].fill(f32::NEG_INFINITY);
            let (max, sum) = (&mut sums.max[row + at], &mut sums.sum[row + at]);
            factors[at] = weigh(simd, scores, max, sum);
        }
        // SAFETY: as above.
        unsafe {
            weighted_sum::<S, V, R, C>(simd, &weights, factors, self.v, len, self.next, &mut sums.values[columns])
        };
        R
    }
}

/// Scores to weights; returns the factor by which the weights of earlier keys shrink.
#[inline(always)]
fn weigh<S: SimdExt>(simd: S, scores: &mut [f32], max: &mut f32, sum: &mut f32) -> f32 {
    let (scores, _) = S::as_mut_simd_f32s(scores);
    let before = *max;
    let mut maxima = simd.splat_f32s(before);
    for score in &*scores {
        maxima = simd.max_f32s(maxima, *score);
    }
    *max = simd.reduce_max_f32s(maxima);
    let maxima = simd.splat_f32s(*max);
    let mut sums = simd.splat_f32s(0.0);
    for score in scores {
        *score = exp(simd, simd.sub_f32s(*score, maxima));
        sums = simd.add_f32s(sums, *score);
    }
    let factor = (before - *max).exp();
    *sum = *sum * factor + simd.reduce_sum_f32s(sums);
    factor
}
