//! Attention of many rows, as in prefill: a row is a lane.
//!
//! Queries are transposed once; then scores come out as `[keys, rows]` and mixed values as `[head_dim, rows]`, keys and
//! values are used where they lie, one number against a vector of rows at a time, and nothing is ever summed across a
//! vector: the largest score and the sum of weights of each row are those of its lane.

use std::ops::Range;

use super::{
    Tile, floats,
    multiply::{Matrix, multiply},
    softmax::{LOWEST, Part},
};
use crate::{exp::exp, float::Float, simd_ext::SimdExt};

/// Keys at a time.
const BLOCK: usize = 64;

pub(super) struct ByLanes<'a, 'b, T> {
    pub tile: &'a Tile<'b, T>,
    pub runs: &'a [Range<usize>],
    pub part: &'a mut Part,
}

impl<T: Float> ByLanes<'_, '_, T> {
    #[inline(always)]
    pub(super) fn run<S: SimdExt>(self, simd: S) {
        let Self { tile, runs, part } = self;
        let head_dim = tile.q.shape()[3];
        let head = [tile.batch, tile.kv_head];
        let width = tile.rows().next_multiple_of(S::F32_LANES);
        let mut q = vec![0.0; head_dim * width];
        for row in 0..tile.rows() {
            for (at, value) in tile.query(row).iter().enumerate() {
                q[at * width + row] = value * tile.scale;
            }
        }
        let mut scores = vec![0.0; BLOCK * width];
        let mut mixed = vec![0.0; head_dim * width];
        let mut state = State::new(width);
        let (mut wide_k, mut wide_v) = (Vec::new(), Vec::new());
        for run in runs {
            for start in run.clone().step_by(BLOCK) {
                let keys = start..run.end.min(start + BLOCK);
                let scores = &mut scores[..keys.len() * width];
                let (k, stride) = floats(simd, tile.k, head, keys.clone(), &mut wide_k);
                let keys_by_dims = Matrix {
                    from: k.as_ptr(),
                    row: stride,
                    column: 1,
                };
                // SAFETY: `floats` has seen that the last key's vector ends within `k`.
                unsafe { multiply(simd, keys_by_dims, &q, None, scores, width) };
                state.hide(simd, tile, keys.clone(), scores);
                state.weigh(simd, scores);
                let (v, stride) = floats(simd, tile.v, head, keys, &mut wide_v);
                let dims_by_keys = Matrix {
                    from: v.as_ptr(),
                    row: 1,
                    column: stride,
                };
                // SAFETY: as above, for `v`.
                unsafe {
                    multiply(
                        simd,
                        dims_by_keys,
                        scores,
                        Some(&state.factor),
                        &mut mixed,
                        width,
                    )
                };
            }
        }
        for row in 0..tile.rows() {
            part.largest[row] = state.largest[row];
            part.sum[row] = state.sum[row];
            for (at, value) in part.mixed[row * head_dim..][..head_dim]
                .iter_mut()
                .enumerate()
            {
                *value = mixed[at * width + row];
            }
        }
    }
}

/// Of each lane.
struct State {
    largest: Vec<f32>,
    sum: Vec<f32>,
    /// What the weights of earlier keys shrink by.
    factor: Vec<f32>,
    /// The first and one past the last key of the block that it sees.
    first: Vec<f32>,
    end: Vec<f32>,
}

impl State {
    fn new(width: usize) -> Self {
        Self {
            largest: vec![LOWEST; width],
            sum: vec![0.0; width],
            factor: vec![0.0; width],
            first: vec![0.0; width],
            end: vec![0.0; width],
        }
    }

    /// Makes nothing of the scores of keys that their query does not see.
    #[inline(always)]
    fn hide<S: SimdExt, T: Float>(
        &mut self,
        simd: S,
        tile: &Tile<'_, T>,
        keys: Range<usize>,
        scores: &mut [f32],
    ) {
        let (len, width) = (keys.len(), self.sum.len());
        self.first.fill(0.0);
        self.end.fill(len as f32);
        let mut any = false;
        for (at, query) in tile.queries.clone().enumerate() {
            let rows = at * tile.groups..(at + 1) * tile.groups;
            tile.visible.hidden(tile.batch, query, keys.clone(), |gap| {
                let (from, to) = (gap.start - keys.start, gap.end - keys.start);
                // Causality and windows hide one end or both, and are dealt with for all rows at a time.
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
        let (largest, _) = S::as_mut_simd_f32s(&mut self.largest);
        let (sum, _) = S::as_mut_simd_f32s(&mut self.sum);
        let (factor, _) = S::as_mut_simd_f32s(&mut self.factor);
        let (scores, _) = S::as_mut_simd_f32s(scores);
        let vectors = largest.len();
        for vector in 0..vectors {
            let mut most = [largest[vector]; 4];
            for scores in scores.chunks(4 * vectors) {
                for (most, score) in most
                    .iter_mut()
                    .zip(scores[vector..].iter().step_by(vectors))
                {
                    *most = simd.max_f32s(*most, *score);
                }
            }
            let [a, b, c, d] = most;
            let most = simd.max_f32s(simd.max_f32s(a, b), simd.max_f32s(c, d));
            factor[vector] = exp(simd, simd.sub_f32s(largest[vector], most));
            largest[vector] = most;
            let mut weights = simd.splat_f32s(0.0);
            for score in scores[vector..].iter_mut().step_by(vectors) {
                *score = exp(simd, simd.sub_f32s(*score, most));
                weights = simd.add_f32s(weights, *score);
            }
            sum[vector] = simd.multiply_add(sum[vector], factor[vector], weights);
        }
    }
}
