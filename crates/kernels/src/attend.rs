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
mod work;

use std::ops::Range;

use self::{
    kept::{Row, Vectors},
    row_products::save,
    work::Work,
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

/// Multiply-adds of scores below which a second thread would take longer to come than to help.
const WORTH_SHARING: usize = 1 << 16;

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

/// Queries of one text, what they may attend to, and where the result goes.
#[derive(Debug)]
pub struct Attention<'a, K> {
    pub segments: &'a [Segment<'a, K>],
    /// The position of the first query; the others follow.
    pub first_query: usize,
    /// `[batch, heads, queries, head_dim]`
    pub out: ViewMut<'a, f32>,
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
    attend_all(isa, &mut [Attention { segments, first_query, out: out.reborrow() }], softmax);
}

/// [`attend`] of several texts, which share the threads. Each gets the bits that it gets alone.
///
/// # Panics
/// As [`attend`].
pub fn attend_all<K: Kept>(isa: Isa, texts: &mut [Attention<'_, K>], softmax: Softmax<'_>) {
    if let [text] = texts {
        Work::new(text, softmax).into_iter().for_each(|work| all(isa, std::slice::from_ref(&work)));
    } else {
        all(isa, &texts.iter().filter_map(|text| Work::new(text, softmax)).collect::<Vec<_>>());
    }
}

fn all<K: Kept>(isa: Isa, texts: &[Work<'_, K>]) {
    let threads = rayon::current_num_threads();
    let multiply_adds: usize = texts.iter().map(Work::multiply_adds).sum();
    match texts {
        _ if multiply_adds < WORTH_SHARING => {
            for text in texts {
                (0..text.pieces()).for_each(|piece| text.attend(isa, piece));
            }
        }
        [text] => share(threads, text.pieces(), |piece| text.attend(isa, piece)),
        _ => {
            let of_text = |(text, work): (usize, &Work<'_, K>)| (0..work.pieces()).map(move |piece| (text, piece));
            let mut pieces: Vec<(usize, usize)> = texts.iter().enumerate().flat_map(of_text).collect();
            // Texts that begin alike share keys: whoever reads those of a head has them in its cache for the others.
            pieces.sort_by_key(|(text, piece)| texts[*text].tile_of(*piece));
            share(threads, pieces.len(), |index| {
                let (text, piece) = pieces[index];
                texts[text].attend(isa, piece);
            });
        }
    }
    texts.iter().for_each(Work::join);
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
    /// Vectors between the one in use and the one that is asked for.
    const AHEAD: usize = 32;

    let head_dim = kept.shape()[3];
    scratch.resize(slots.len() * head_dim, 0.0);
    for (slot, wide) in scratch.chunks_exact_mut(head_dim).enumerate() {
        vectors.prefetch(slot + AHEAD, 0, head_dim);
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
