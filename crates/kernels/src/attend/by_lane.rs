//! Attention of many rows, as in prefill: a row is a lane.
//!
//! Queries are transposed once. Then scores come out as `[keys, rows]` and weighted values as `[head_dim, rows]`; keys and
//! values are used where they lie, one number against a vector of rows at a time; and nothing is ever summed across a
//! vector: the largest score and the sum of weights of a row are those of its lane.

use std::ops::Range;

use super::{
    Kept, floats,
    lane_products::{Strided, multiply},
    mask::hidden,
    soft_cap,
    softmax::{LOWEST, Part},
    tile::{Run, Tile},
};
use crate::{exp::exp, simd_ext::SimdExt};

/// Keys at a time.
const BLOCK: usize = 64;

pub(super) struct ByLane<'a, 'b, K, R> {
    pub tile: &'a Tile<'b, K>,
    pub runs: R,
    pub part: &'a mut Part,
}

impl<K: Kept, R: Iterator<Item = Run>> ByLane<'_, '_, K, R> {
    #[inline(always)]
    pub(super) fn run<S: SimdExt>(self, simd: S) {
        let Self { tile, runs, part } = self;
        let head_dim = tile.head_dim;
        let head = [tile.batch, tile.kv_head];
        let width = tile.rows().next_multiple_of(S::F32_LANES);
        let mut queries = vec![0.0; head_dim * width];
        let mut visible = Vec::with_capacity(tile.queries.len());
        let mut of = None;
        let mut scores = vec![0.0; BLOCK * width];
        let mut values = vec![0.0; head_dim * width];
        let mut state = State::new(width);
        let (mut wide_k, mut wide_v) = (Vec::new(), Vec::new());
        for Run { segment, slots } in runs {
            let (k, v) = (tile.segments[segment].k, tile.segments[segment].v);
            if of.replace(segment) != Some(segment) {
                for (row, query) in tile.queries(segment).enumerate() {
                    for (at, q) in query.iter().enumerate() {
                        queries[at * width + row] = q * tile.softmax.scale;
                    }
                }
                visible.clear();
                visible.extend(tile.visible(segment));
            }
            for start in slots.clone().step_by(BLOCK) {
                let keys = start..slots.end.min(start + BLOCK);
                let scores = &mut scores[..keys.len() * width];
                let (from, row) = floats(simd, k, head, keys.clone(), &mut wide_k);
                let keys_by_dims = Strided { from, row, column: 1 };
                // SAFETY: `floats` has seen that all vectors of `k` are there.
                unsafe { multiply(simd, keys_by_dims, &queries, None, scores, width) };
                if let Some(cap) = tile.softmax.soft_cap {
                    soft_cap(simd, cap, scores);
                }
                state.hide(simd, &visible, tile.groups, keys.clone(), scores);
                state.weigh(simd, scores);
                let (from, column) = floats(simd, v, head, keys, &mut wide_v);
                let dims_by_keys = Strided { from, row: 1, column };
                let factor = Some(state.factor.as_slice());
                // SAFETY: as above, for `v`.
                unsafe { multiply(simd, dims_by_keys, scores, factor, &mut values, width) };
            }
        }
        let sums = part.sums();
        for row in 0..tile.rows() {
            sums.max[row] = state.max[row];
            sums.sum[row] = state.sum[row];
            let of_row = &mut sums.values[row * head_dim..][..head_dim];
            for (at, value) in of_row.iter_mut().enumerate() {
                *value = values[at * width + row];
            }
        }
    }
}

/// The softmax of each lane so far.
struct State {
    max: Vec<f32>,
    sum: Vec<f32>,
    /// The factor by which the weights of earlier keys shrink.
    factor: Vec<f32>,
    /// The first key of the block that the lane sees, and one past the last.
    first: Vec<f32>,
    end: Vec<f32>,
}

impl State {
    fn new(width: usize) -> Self {
        Self {
            max: vec![LOWEST; width],
            sum: vec![0.0; width],
            factor: vec![0.0; width],
            first: vec![0.0; width],
            end: vec![0.0; width],
        }
    }

    /// Masks the scores of keys that their query does not see, by `visible` of each query.
    #[inline(always)]
    fn hide<S: SimdExt>(
        &mut self,
        simd: S,
        visible: &[[Range<usize>; 2]],
        groups: usize,
        keys: Range<usize>,
        scores: &mut [f32],
    ) {
        let (len, width) = (keys.len(), self.sum.len());
        self.first.fill(0.0);
        self.end.fill(len as f32);
        let mut any = false;
        for (at, visible) in visible.iter().enumerate() {
            let rows = at * groups..(at + 1) * groups;
            hidden(visible, keys.clone(), |gap| {
                let (from, to) = (gap.start - keys.start, gap.end - keys.start);
                // Causality and windows hide one end or both: that is masked for all rows at a time.
                any |= from == 0 || to == len;
                if from == 0 {
                    self.first[rows.clone()].fill(to as f32);
                } else if to == len {
                    self.end[rows.clone()].fill(from as f32);
                } else {
                    for scores in scores[from * width..to * width].chunks_exact_mut(width) {
                        scores[rows.clone()].fill(f32::NEG_INFINITY);
                    }
                }
            });
        }
        if !any {
            return;
        }
        let (first, _) = S::as_simd_f32s(&self.first);
        let (end, _) = S::as_simd_f32s(&self.end);
        let (scores, _) = S::as_mut_simd_f32s(scores);
        let nothing = simd.splat_f32s(f32::NEG_INFINITY);
        for (key, scores) in scores.chunks_exact_mut(first.len()).enumerate() {
            let key = simd.splat_f32s(key as f32);
            for ((score, first), end) in scores.iter_mut().zip(first).zip(end) {
                let seen = simd.select_f32s(simd.less_than_f32s(key, *end), *score, nothing);
                *score = simd.select_f32s(simd.less_than_f32s(key, *first), nothing, seen);
            }
        }
    }

    /// Scores to weights, `[keys, rows]`.
    #[inline(always)]
    fn weigh<S: SimdExt>(&mut self, simd: S, scores: &mut [f32]) {
        let (max, _) = S::as_mut_simd_f32s(&mut self.max);
        let (sum, _) = S::as_mut_simd_f32s(&mut self.sum);
        let (factor, _) = S::as_mut_simd_f32s(&mut self.factor);
        let (scores, _) = S::as_mut_simd_f32s(scores);
        let vectors = max.len();
        for vector in 0..vectors {
            let mut maxima = [max[vector]; 4];
            for scores in scores.chunks(4 * vectors) {
                for (maximum, score) in maxima.iter_mut().zip(scores[vector..].iter().step_by(vectors)) {
                    *maximum = simd.max_f32s(*maximum, *score);
                }
            }
            let [a, b, c, d] = maxima;
            let maximum = simd.max_f32s(simd.max_f32s(a, b), simd.max_f32s(c, d));
            factor[vector] = exp(simd, simd.sub_f32s(max[vector], maximum));
            max[vector] = maximum;
            let mut weights = simd.splat_f32s(0.0);
            for score in scores[vector..].iter_mut().step_by(vectors) {
                *score = exp(simd, simd.sub_f32s(*score, maximum));
                weights = simd.add_f32s(weights, *score);
            }
            sum[vector] = simd.multiply_add(sum[vector], factor[vector], weights);
        }
    }
}
