//! Attention over a cache where it lies: `softmax(scale q k^T) v` without the matrix of scores.
//!
//! Keys are visited in blocks that stay in the nearest cache, with the softmax of what has been seen so far
//! (FlashAttention: Dao et al. 2022, arXiv:2205.14135). Query head `h` reads key/value head `h / groups`, by index;
//! all query heads of a group, and several queries, are rows of one [`Tile`], so that each key is read once for all of
//! them. Keys that no query of a tile sees are not visited: a window W over T tokens costs `O(T W)`.

mod lanes;
mod multiply;
mod products;
mod rows;
mod softmax;
mod visible;

use std::ops::Range;

use rayon::prelude::*;

use self::{lanes::ByLanes, rows::ByRows, softmax::Part};
use crate::{
    float::{Float, vectors, zero_padded},
    isa::{Isa, Kernel},
    simd_ext::SimdExt,
    view::{View, ViewMut},
};

pub use visible::Visible;

/// Rows of a tile, where there are as many.
const TILE: usize = 64;

/// Keys that one thread takes alone where a few queries see many: a share of the cache that fits into a core's own.
const SHARE: usize = 1024;

/// Multiply-adds below which a second thread would take longer to wake up than to help.
const WORTH_WAKING: usize = 1 << 20;

/// `q` `[batch, heads, queries, head_dim]`, `k` and `v` `[batch, kv_heads, keys, head_dim]` -> `out`, as `q`
///
/// A query that sees no key gets zeros. Keys and values that no query of a batch row sees are not read.
///
/// Error of each element: at most `2^-24 max|v| (2 (head_dim + 8) s + 3 n + 20)` over the `n` keys that its query sees,
/// where `s` is the largest `scale |q| . |k|`: scores are sums of `head_dim` products, results of `n`, and `e^x` is off
/// relatively by what `x` is off. A value that is not finite may reach queries that do not see it: 0 times it is NaN.
///
/// # Panics
/// If shapes do not fit each other.
pub fn attend<T: Float>(
    isa: Isa,
    q: View<'_, f32>,
    k: View<'_, T>,
    v: View<'_, T>,
    visible: &Visible,
    scale: f32,
    out: &mut ViewMut<'_, f32>,
) {
    let [batch, heads, queries, head_dim] = q.shape();
    let [_, kv_heads, keys, _] = k.shape();
    assert_eq!(q.shape(), out.shape(), "as many outputs as queries");
    assert_eq!(k.shape(), v.shape(), "a value for each key");
    assert_eq!(
        k.shape(),
        [batch, kv_heads, keys, head_dim],
        "keys for the queries"
    );
    assert!(
        visible.fits(batch, queries, keys),
        "{visible:?} for {queries} queries and {keys} keys"
    );
    if q.shape().contains(&0) {
        return;
    }
    assert!(
        heads.is_multiple_of(kv_heads),
        "{heads} heads over {kv_heads}"
    );
    let groups = heads / kv_heads;
    let block = match groups * queries <= TILE {
        true => queries,
        false => (TILE / groups).max(1),
    };
    let blocks = queries.div_ceil(block);
    let out = &*out;
    let tile = |index: usize| {
        let (at, start) = (index / blocks, index % blocks * block);
        let tile = Tile {
            q,
            k,
            v,
            visible,
            scale,
            batch: at / kv_heads,
            kv_head: at % kv_heads,
            groups,
            queries: start..queries.min(start + block),
        };
        // Cutting up the keys as well must not depend on the number of threads either.
        let part = tile.attend(isa, if blocks == 1 { SHARE } else { usize::MAX });
        for row in 0..tile.rows() {
            let [batch, head, query] = tile.place(row);
            // SAFETY: each row belongs to one tile.
            part.finish(row, unsafe { out.row_mut(batch, head, query) });
        }
    };
    let tiles = batch * kv_heads * blocks;
    match visible.seen_by_all(batch) * heads * head_dim < WORTH_WAKING {
        true => (0..tiles).for_each(tile),
        false => (0..tiles).into_par_iter().with_max_len(1).for_each(tile),
    }
}

/// Some queries of all heads that share one key/value head, query by query: row `i` is head `i % groups` of query
/// `i / groups`.
struct Tile<'a, T> {
    q: View<'a, f32>,
    k: View<'a, T>,
    v: View<'a, T>,
    visible: &'a Visible,
    scale: f32,
    batch: usize,
    kv_head: usize,
    groups: usize,
    queries: Range<usize>,
}

impl<T: Float> Tile<'_, T> {
    fn rows(&self) -> usize {
        self.groups * self.queries.len()
    }

    /// Batch row, head and query.
    fn place(&self, row: usize) -> [usize; 3] {
        let head = self.kv_head * self.groups + row % self.groups;
        [self.batch, head, self.queries.start + row / self.groups]
    }

    fn query(&self, row: usize) -> &[f32] {
        let [batch, head, query] = self.place(row);
        self.q.row(batch, head, query)
    }

    fn attend(&self, isa: Isa, share: usize) -> Part {
        let runs = self.visible.union(self.batch, self.queries.clone());
        let mut shares = cut(&runs, share);
        if shares.len() <= 1 {
            return self.part(isa, &shares.pop().unwrap_or_default());
        }
        let parts: Vec<Part> = shares.par_iter().map(|runs| self.part(isa, runs)).collect();
        let mut merged = Part::new(self.rows(), self.q.shape()[3]);
        parts
            .iter()
            .for_each(|part| merged.merge(part, self.q.shape()[3]));
        merged
    }

    fn part(&self, isa: Isa, runs: &[Range<usize>]) -> Part {
        let mut part = Part::new(self.rows(), self.q.shape()[3]);
        isa.run(Attend {
            tile: self,
            runs,
            part: &mut part,
        });
        part
    }
}

struct Attend<'a, 'b, T> {
    tile: &'a Tile<'b, T>,
    runs: &'a [Range<usize>],
    part: &'a mut Part,
}

impl<T: Float> Kernel for Attend<'_, '_, T> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        let Self { tile, runs, part } = self;
        // With a row in each lane, half of the lanes or more would be empty.
        match 2 * tile.rows() <= S::F32_LANES {
            true => ByRows { tile, runs, part }.run(simd),
            false => ByLanes { tile, runs, part }.run(simd),
        }
    }
}

/// The same runs in shares of at most `most` keys.
fn cut(runs: &[Range<usize>], most: usize) -> Vec<Vec<Range<usize>>> {
    let mut shares: Vec<Vec<Range<usize>>> = Vec::new();
    let mut room = 0;
    for run in runs {
        let mut run = run.clone();
        while !run.is_empty() {
            if room == 0 {
                shares.push(Vec::new());
                room = most;
            }
            let part = run.start..run.end.min(run.start.saturating_add(room));
            room -= part.len();
            run.start = part.end;
            if let Some(share) = shares.last_mut() {
                share.push(part);
            }
        }
    }
    shares
}

/// One head's vectors at `places` as `f32`, and how far apart they are: where they lie, or widened into `scratch`.
#[inline(always)]
fn floats<'a, S: SimdExt, T: Float>(
    simd: S,
    view: View<'a, T>,
    [batch, head]: [usize; 2],
    places: Range<usize>,
    scratch: &'a mut Vec<f32>,
) -> (&'a [f32], usize) {
    let rows = view.rows(batch, head, places.start);
    if let Some(rows) = T::as_f32(rows) {
        assert!(rows.len() >= (places.len() - 1) * view.stride() + view.shape()[3]);
        return (rows, view.stride());
    }
    let head_dim = view.shape()[3];
    let whole = head_dim / S::F32_LANES * S::F32_LANES;
    scratch.resize(places.len() * head_dim, 0.0);
    for (place, wide) in scratch.chunks_exact_mut(head_dim).enumerate() {
        let row = &rows[place * view.stride()..];
        let (wide, wide_rest) = S::as_mut_simd_f32s(wide);
        for (wide, vector) in wide.iter_mut().zip(vectors::<T, S>(&row[..whole])) {
            *wide = T::widen(simd, *vector);
        }
        if whole < head_dim {
            let rest = zero_padded::<T, S>(&row[whole..head_dim]);
            simd.partial_store_f32s(wide_rest, T::widen(simd, rest));
        }
    }
    (scratch, head_dim)
}

/// Asks for vectors that come next: from memory, they take longer than the work on those before them.
#[inline(always)]
fn fetch<T>(view: View<'_, T>, [batch, head]: [usize; 2], places: Range<usize>) {
    #[cfg(target_arch = "x86_64")]
    if !places.is_empty() {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first = view.rows(batch, head, places.start).as_ptr();
        let bytes = view.shape()[3] * size_of::<T>();
        for place in 0..places.len() {
            let vector = first.wrapping_add(place * view.stride()).cast::<i8>();
            // A line of the cache is 64 bytes.
            for line in (0..bytes).step_by(64) {
                // SAFETY: SSE is part of x86-64, and no address is wrong for a hint.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(vector.wrapping_add(line)) };
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (view, batch, head, places);
}

#[cfg(test)]
mod tests;
