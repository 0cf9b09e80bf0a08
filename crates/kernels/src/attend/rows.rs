//! Attention of a few rows, as in decoding: each key and each value comes from memory once, and that takes the time.

use std::ops::Range;

use super::{
    Tile, fetch, floats,
    products::{BLOCK, fit, mix},
    softmax::Part,
};
use crate::{exp::exp, float::Float, simd_ext::SimdExt};

pub(super) struct ByRows<'a, 'b, T> {
    pub tile: &'a Tile<'b, T>,
    pub runs: &'a [Range<usize>],
    pub part: &'a mut Part,
}

impl<T: Float> ByRows<'_, '_, T> {
    #[inline(always)]
    pub(super) fn run<S: SimdExt>(self, simd: S) {
        let Self { tile, runs, part } = self;
        let head_dim = tile.q.shape()[3];
        let head = [tile.batch, tile.kv_head];
        let mut q = Vec::with_capacity(tile.rows() * head_dim); // [rows, head_dim]
        for row in 0..tile.rows() {
            q.extend(tile.query(row).iter().map(|q| q * tile.scale));
        }
        let (mut wide_k, mut wide_v) = (Vec::new(), Vec::new());
        for run in runs {
            for start in run.clone().step_by(BLOCK) {
                let keys = start..run.end.min(start + BLOCK);
                let next = keys.end..run.end.min(keys.end + BLOCK);
                fetch(tile.k, head, next.clone());
                fetch(tile.v, head, next);
                let (k, k_stride) = floats(simd, tile.k, head, keys.clone(), &mut wide_k);
                let (v, v_stride) = floats(simd, tile.v, head, keys.clone(), &mut wide_v);
                let block = Block {
                    tile,
                    keys,
                    k,
                    k_stride,
                    v,
                    v_stride,
                    head_dim,
                };
                // Rows, keys and vectors at a time: sums enough to hide the latency of an addition, and no more
                // than 16 registers hold.
                let mut row = 0;
                while row < tile.rows() {
                    row += match tile.rows() - row {
                        1 => block.rows::<S, 1, 4, 4>(simd, row, &q, part),
                        2 => block.rows::<S, 2, 4, 4>(simd, row, &q, part),
                        3 => block.rows::<S, 3, 2, 2>(simd, row, &q, part),
                        _ => block.rows::<S, 4, 2, 2>(simd, row, &q, part),
                    };
                }
            }
        }
    }
}

/// A block of keys and their values.
struct Block<'a, 'b, T> {
    tile: &'a Tile<'b, T>,
    keys: Range<usize>,
    k: &'a [f32],
    k_stride: usize,
    v: &'a [f32],
    v_stride: usize,
    head_dim: usize,
}

impl<T: Float> Block<'_, '_, T> {
    /// Takes in the block for R rows from `row` on; returns R.
    #[inline(always)]
    fn rows<S: SimdExt, const R: usize, const K: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        q: &[f32],
        part: &mut Part,
    ) -> usize {
        let (len, start) = (self.keys.len(), self.keys.start);
        let columns = row * self.head_dim..(row + R) * self.head_dim;
        let mut scores = [[0.0; BLOCK]; R];
        // SAFETY: `floats` has seen that the last key's vector ends within `k`.
        unsafe {
            fit::<S, R, K>(
                simd,
                &q[columns.clone()],
                self.k.as_ptr(),
                self.k_stride,
                len,
                &mut scores,
            );
        }
        let mut factors = [0.0; R];
        for (at, scores) in scores.iter_mut().enumerate() {
            let [batch, _, query] = self.tile.place(row + at);
            self.tile
                .visible
                .hidden(batch, query, self.keys.clone(), |gap| {
                    scores[gap.start - start..gap.end - start].fill(f32::NEG_INFINITY);
                });
            // What fills up the last vector counts for nothing.
            let filled = len.next_multiple_of(S::F32_LANES);
            scores[len..filled].fill(f32::NEG_INFINITY);
            let (largest, sum) = (&mut part.largest[row + at], &mut part.sum[row + at]);
            factors[at] = weigh(simd, &mut scores[..filled], largest, sum);
        }
        let mixed = &mut part.mixed[columns];
        // SAFETY: as above, for `v`.
        unsafe {
            mix::<S, R, V>(
                simd,
                &scores,
                factors,
                self.v.as_ptr(),
                self.v_stride,
                len,
                mixed,
            )
        };
        R
    }
}

/// Scores to weights; returns what the weights of earlier keys shrink by.
#[inline(always)]
fn weigh<S: SimdExt>(simd: S, scores: &mut [f32], largest: &mut f32, sum: &mut f32) -> f32 {
    let (scores, _) = S::as_mut_simd_f32s(scores);
    let before = *largest;
    let mut most = simd.splat_f32s(before);
    for score in &*scores {
        most = simd.max_f32s(most, *score);
    }
    *largest = simd.reduce_max_f32s(most);
    let most = simd.splat_f32s(*largest);
    let mut sums = simd.splat_f32s(0.0);
    for score in scores {
        *score = exp(simd, simd.sub_f32s(*score, most));
        sums = simd.add_f32s(sums, *score);
    }
    let factor = (before - *largest).exp();
    *sum = *sum * factor + simd.reduce_sum_f32s(sums);
    factor
}
