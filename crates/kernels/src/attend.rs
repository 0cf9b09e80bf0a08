//! Attention over a cache where it lies: `softmax(scale q k^T) v` without the matrix of scores.
//!
//! Keys are visited in blocks that stay in the L1 cache, with the softmax of the keys so far (FlashAttention: Dao et al.
//! 2022, arXiv:2205.14135). Query head `h` reads key/value head `h / groups`, by index; all query heads of a group, and
//! several queries, are rows of one [`Tile`], so that each key is read once for all of them. Keys that no query of a tile
//! sees are not visited: a window W over T tokens costs `O(T W)`.

mod by_lane;
mod by_row;
mod int8;
mod kept;
mod lane_products;
mod mask;
mod row_products;
mod softmax;
mod tile;

use std::{ops::Range, sync::OnceLock};

use self::{
    kept::{Row, Vectors},
    row_products::save,
    softmax::Part,
    tile::{Run, Tile, cut},
};
use crate::{
    exp::tanh,
    isa::Isa,
    share::share,
    simd_ext::SimdExt,
    view::{View, ViewMut},
};

pub use int8::quantize_vectors;
pub use kept::{Int8View, Kept};
pub use mask::{KeyMask, KeyPositions};

/// Rows of a tile, where there are as many.
const TILE: usize = 64;

/// Keys that one thread takes where a few queries see many: a chunk of the cache that fits into L2.
const CHUNK_KEYS: usize = 1024;

/// Multiply-adds below which a second thread would take longer to come than to help.
const WORTH_SHARING: usize = 1 << 14;

/// Keys and values one behind the other in memory, and the queries as rotated for them.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a, K> {
    /// `[batch, heads, queries, head_dim]`
    pub q: View<'a, f32>,
    /// `[batch, kv_heads, keys, head_dim]`
    pub k: K,
    /// `[batch, kv_heads, keys, head_dim]`
    pub v: K,
    pub mask: KeyMask,
}

impl<K: Kept> Segment<'_, K> {
    /// The slots that at least one query at these positions sees.
    fn visible(&self, queries: Range<usize>) -> [Range<usize>; 2] {
        self.mask.visible(self.k.shape()[2], queries)
    }
}

/// How scores become probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Softmax<'a> {
    /// A score is `scale * q . k`.
    pub scale: f32,
    /// Scores are capped, before masking: `soft_cap * tanh(score / soft_cap)` (Gemma 2, arXiv:2408.00118).
    pub soft_cap: Option<f32>,
    /// Learned sinks `[heads]`: one more logit in the denominator, without a value (gpt-oss, arXiv:2508.10925).
    pub sinks: Option<&'a [f32]>,
}

/// One softmax over the keys of all segments -> `out` `[batch, heads, queries, head_dim]`
///
/// Queries are at the positions `first_query ..`. A query that sees no key gets zeros. Keys and values that no query sees
/// are not read. Those in fewer bits count as the float32 numbers that they stand for.
///
/// Error of each element: at most `2^-24 max|v| (2 (head_dim + 8) s + 3 n + 20)` over the `n` keys that its query sees,
/// where `s` is the largest `scale |q| . |k|`: scores are sums of `head_dim` products, results of `n`, and `e^x` is off
/// relatively by what `x` is off. With a soft cap `s` counts 16 times more. A value that is not finite may reach queries
/// that do not see it: 0 times it is NaN.
///
/// # Panics
/// If shapes do not fit each other.
pub fn attend<K: Kept>(
    isa: Isa,
    segments: &[Segment<'_, K>],
    first_query: usize,
    softmax: Softmax<'_>,
    out: &mut ViewMut<'_, f32>,
) {
    let [batch, heads, queries, head_dim] = out.shape();
    let kv_heads = segments.first().map_or(0, |segment| segment.k.shape()[1]);
    for Segment { q, k, v, mask } in segments {
        let keys = k.shape()[2];
        assert_eq!(q.shape(), out.shape(), "as many outputs as queries");
        assert_eq!(k.shape(), v.shape(), "a value for each key");
        assert_eq!(k.shape(), [batch, kv_heads, keys, head_dim], "keys for the queries");
        let fits = !matches!(mask.positions, KeyPositions::Ring { len, .. } if len != keys);
        assert!(fits, "{mask:?} for {keys} keys");
    }
    if out.shape().contains(&0) {
        return;
    }
    assert!(kv_heads > 0 && heads.is_multiple_of(kv_heads), "{heads} heads over {kv_heads}");
    let sinks = softmax.sinks;
    assert!(sinks.is_none_or(|sinks| sinks.len() == heads), "a sink for each head");

    let groups = heads / kv_heads;
    let block = if groups * queries <= TILE { queries } else { (TILE / groups).max(1) };
    let blocks = queries.div_ceil(block);
    let out = &*out;
    let tile = |index: usize| {
        let (at, start) = (index / blocks, index % blocks * block);
        Tile {
            segments,
            first_query,
            softmax,
            batch: at / kv_heads,
            kv_head: at % kv_heads,
            groups,
            queries: start..queries.min(start + block),
            head_dim,
        }
    };
    let finish = |tile: &Tile<'_, K>, part: &Part| {
        for row in 0..tile.rows() {
            let [batch, head, query] = tile.index(row);
            // SAFETY: each row belongs to one tile.
            let out = unsafe { out.row_mut(batch, head, query) };
            part.finish(row, sinks.map(|sinks| sinks[head]), out);
        }
    };
    let tiles = batch * kv_heads * blocks;
    let visible = |query: usize| {
        let of = |segment: &Segment<'_, K>| segment.visible(query..query + 1);
        segments.iter().flat_map(of).map(|run| run.len()).sum::<usize>()
    };
    let seen: usize = (first_query..first_query + queries).map(visible).sum();
    let is_short = seen * batch * heads * head_dim < WORTH_SHARING;
    let threads = if is_short { 1 } else { rayon::current_num_threads() };
    if blocks > 1 {
        return share(threads, tiles, |index| {
            let tile = tile(index);
            finish(&tile, &tile.part(isa, &tile.runs().collect::<Vec<_>>()));
        });
    }
    // Few queries: their keys are pieces of work, too. The number of threads does not decide how they are cut: results do not
    // depend on it.
    let chunks: Vec<Vec<Vec<Run>>> = (0..tiles).map(|index| cut(tile(index).runs(), CHUNK_KEYS)).collect();
    let pieces: Vec<(usize, &[Run])> = chunks
        .iter()
        .enumerate()
        .flat_map(|(index, chunks)| chunks.iter().map(move |runs| (index, &runs[..])))
        .collect();
    let parts: Vec<OnceLock<Part>> = pieces.iter().map(|_| OnceLock::new()).collect();
    share(threads, pieces.len(), |piece| {
        let (index, runs) = pieces[piece];
        parts[piece].get_or_init(|| tile(index).part(isa, runs));
    });
    let mut parts = parts.into_iter().filter_map(OnceLock::into_inner);
    for (index, chunks) in chunks.iter().enumerate() {
        let tile = tile(index);
        let mut own = parts.by_ref().take(chunks.len());
        let mut whole = own.next().unwrap_or_else(|| Part::new(tile.rows(), head_dim));
        if chunks.len() > 1 {
            let first = std::mem::replace(&mut whole, Part::new(tile.rows(), head_dim));
            std::iter::once(first).chain(own).for_each(|part| whole.merge(&part, head_dim));
        }
        finish(&tile, &whole);
    }
}

/// `cap * tanh(score / cap)`; whole vectors of scores.
#[inline(always)]
fn soft_cap<S: SimdExt>(simd: S, cap: f32, scores: &mut [f32]) {
    let (scores, _) = S::as_mut_simd_f32s(scores);
    let (cap, inverse) = (simd.splat_f32s(cap), simd.splat_f32s(1.0 / cap));
    for score in scores {
        *score = simd.mul_f32s(cap, tanh(simd, simd.mul_f32s(*score, inverse)));
    }
}

/// One head's vectors in `slots` as float32, and how far apart they are: where they lie, or widened into `scratch`.
#[inline(always)]
fn floats<S: SimdExt, K: Kept>(
    simd: S,
    kept: K,
    head: [usize; 2],
    slots: Range<usize>,
    scratch: &mut Vec<f32>,
) -> (*const f32, usize) {
    let vectors = kept.vectors(head, &slots);
    if let Some(floats) = vectors.as_f32() {
        return floats;
    }
    let head_dim = kept.shape()[3];
    scratch.resize(slots.len() * head_dim, 0.0);
    for (slot, wide) in scratch.chunks_exact_mut(head_dim).enumerate() {
        vectors.prefetch(slot, 0, head_dim);
        for (part, wide) in wide.chunks_mut(S::F32_LANES).enumerate() {
            // SAFETY: there are as many vectors as slots, of `head_dim` numbers.
            unsafe {
                let numbers = vectors.row(slot).load(simd, part * S::F32_LANES, wide.len());
                save(simd, wide.as_mut_ptr(), wide.len(), numbers);
            }
        }
    }
    (scratch.as_ptr(), head_dim)
}

#[cfg(test)]
mod tests;
