//! Dot products of a few rows of weights with a few vectors, in registers.
//!
//! Every output is one chain of multiply-adds over vectors of columns and one sum over the lanes at its end. No shape of tile
//! changes that order, so a row gives the same bits alone or in a batch, and on any number of threads.

use std::{array::from_fn, borrow::Cow};

use rayon::prelude::*;

use super::{
    lanes::{Kernel, Lanes},
    weight::{Weight, filled, vectors},
};

/// Vectors that are multiplied with the weights while these are in registers.
pub const TOGETHER: usize = 4;

/// Groups of vectors that one thread has interleaved before another is awake.
const SERIAL_GROUPS: usize = 8;

/// Bytes of vectors that stay in a core's second cache beside a block of weights.
const KEPT_BYTES: usize = 512 << 10;

/// Rows that are multiplied with all vectors before the next are read: a multiple of every tile's, and small enough
/// that a core's second cache holds them.
pub const BLOCK: usize = 24;

/// `x` `[n, columns]` in the order in which it is read.
///
/// Vectors are a power of two apart more often than not, and would drive each other from the cache: so [`TOGETHER`] of them
/// are interleaved, a register of each in turn, the last filled up with zeros.
pub struct Interleaved<'a> {
    values: Cow<'a, [f32]>,
    columns: usize,
    lanes: usize,
}

impl<'a> Interleaved<'a> {
    /// `columns` is at least one.
    pub fn new(x: &'a [f32], columns: usize, lanes: usize) -> Self {
        let n = x.len() / columns;
        let padded = columns.next_multiple_of(lanes);
        let values = if n <= 1 && columns == padded {
            Cow::Borrowed(x)
        } else {
            let mut values = vec![0.0; n * padded];
            let groups = values.par_chunks_mut(TOGETHER * padded);
            groups
                .zip(x.par_chunks(TOGETHER * columns))
                .with_min_len(SERIAL_GROUPS)
                .for_each(|(to, x)| interleave(x, to, columns, lanes));
            Cow::Owned(values)
        };
        Self {
            values,
            columns,
            lanes,
        }
    }

    /// How many vectors one core's second cache holds while all rows pass by, a multiple of [`TOGETHER`].
    fn kept(&self) -> usize {
        let bytes = self.columns * size_of::<f32>();
        (KEPT_BYTES / bytes / TOGETHER).max(1) * TOGETHER
    }
}

/// The vectors `x` `[.., columns]` into `to`, `lanes` numbers of each in turn.
fn interleave(x: &[f32], to: &mut [f32], columns: usize, lanes: usize) {
    let n = x.len() / columns;
    for (i, x) in x.chunks(columns).enumerate() {
        for (x, to) in x.chunks(lanes).zip(to[i * lanes..].chunks_mut(n * lanes)) {
            to[..x.len()].copy_from_slice(x);
        }
    }
}

/// `x` `[n, columns]` times some rows of weights `[rows, columns]`, `columns` at least one.
pub struct Rows<'a, W> {
    pub x: &'a Interleaved<'a>,
    pub weight: &'a [W],
    /// `n` slices `[rows]`.
    pub y: Vec<&'a mut [f32]>,
}

impl<W: Weight> Kernel for Rows<'_, W> {
    #[inline(always)]
    fn run<S: Lanes>(mut self, simd: S) {
        assert_eq!(self.x.lanes, S::F32_LANES);
        let columns = self.x.columns;
        let together = self.x.kept();
        let (x, _) = S::as_simd_f32s(&self.x.values);
        let group = columns.div_ceil(S::F32_LANES) * TOGETHER;
        for (x, y) in x
            .chunks(together / TOGETHER * group)
            .zip(self.y.chunks_mut(together))
        {
            for (block, weight) in self.weight.chunks(BLOCK * columns).enumerate() {
                let groups = x.chunks(group).zip(y.chunks_mut(TOGETHER));
                for (i, (x, y)) in groups.enumerate() {
                    let block = Block {
                        weight,
                        first: block * BLOCK,
                        columns,
                        ahead: i == 0,
                    };
                    // As many rows as there are registers for: a vector that was loaded is used once for each.
                    let many = S::REGISTER_COUNT >= 32;
                    match (y.len(), many) {
                        (1, _) => block.times::<S, 4, 1>(simd, x, y),
                        (2, _) => block.times::<S, 4, 2>(simd, x, y),
                        (3, true) => block.times::<S, 6, 3>(simd, x, y),
                        (3, false) => block.times::<S, 3, 3>(simd, x, y),
                        (_, true) => block.times::<S, 6, 4>(simd, x, y),
                        (_, false) => block.times::<S, 3, 4>(simd, x, y),
                    }
                }
            }
        }
    }
}

/// [`BLOCK`] rows of weights or fewer.
struct Block<'a, W> {
    weight: &'a [W],
    /// Where their products begin.
    first: usize,
    columns: usize,
    /// Whether the rows after these have yet to be read from memory.
    ahead: bool,
}

impl<W: Weight> Block<'_, W> {
    /// All rows, `R` at a time, times `N` vectors, into `y[..][first..]`.
    #[inline(always)]
    fn times<S: Lanes, const R: usize, const N: usize>(
        &self,
        simd: S,
        x: &[S::f32s],
        y: &mut [&mut [f32]],
    ) {
        let columns = self.columns;
        let ahead = if self.ahead { R * columns } else { 0 };
        let (x, _) = x.as_chunks::<N>();
        let tiles = self.weight.chunks_exact(R * columns);
        let rest = tiles.remainder();
        let mut row = self.first;
        for tile in tiles {
            let weight: [&[W]; R] = from_fn(|r| &tile[r * columns..][..columns]);
            let products = dots(simd, weight, x, ahead);
            for (y, products) in y.iter_mut().zip(&products) {
                y[row..][..R].copy_from_slice(products);
            }
            row += R;
        }
        for weight in rest.chunks_exact(columns) {
            for (y, [product]) in y.iter_mut().zip(&dots(simd, [weight], x, 0)) {
                y[row] = *product;
            }
            row += 1;
        }
    }
}

/// `[N][R]`: the product of every row with every vector.
#[inline(always)]
fn dots<S: Lanes, W: Weight, const R: usize, const N: usize>(
    simd: S,
    weight: [&[W]; R],
    x: &[[S::f32s; N]],
    ahead: usize,
) -> [[f32; R]; N] {
    let columns = weight[0].len();
    let whole = columns / S::F32_LANES;
    let heads: [&[W::Packed<S>]; R] = from_fn(|r| &vectors::<W, S>(weight[r])[..whole]);
    let (x_heads, x_tail) = x.split_at(whole);

    let zero = simd.splat_f32s(0.0);
    let mut sums = [[zero; R]; N];
    let mut w = [zero; R];
    for i in 0..whole {
        for (w, head) in w.iter_mut().zip(&heads) {
            prefetch(head[i..].as_ptr().wrapping_byte_add(ahead * size_of::<W>()));
            *w = W::widen(simd, head[i]);
        }
        step(simd, &mut sums, &w, &x_heads[i]);
    }
    if let Some(x) = x_tail.first() {
        for (w, row) in w.iter_mut().zip(&weight) {
            *w = W::widen(simd, filled::<W, S>(&row[whole * S::F32_LANES..]));
        }
        step(simd, &mut sums, &w, x);
    }
    // Plain loops: `map` would take the sums by address and keep them in memory all the way.
    let mut products = [[0.0; R]; N];
    for (products, sums) in products.iter_mut().zip(&sums) {
        for (product, sum) in products.iter_mut().zip(sums) {
            *product = simd.reduce_sum_f32s(*sum);
        }
    }
    products
}

/// One vector of columns.
#[inline(always)]
fn step<S: Lanes, const R: usize, const N: usize>(
    simd: S,
    sums: &mut [[S::f32s; R]; N],
    w: &[S::f32s; R],
    x: &[S::f32s; N],
) {
    for (sums, x) in sums.iter_mut().zip(x) {
        for (sum, w) in sums.iter_mut().zip(w) {
            *sum = simd.multiply_add(*w, *x, *sum);
        }
    }
}

/// Starts to read what will be needed.
#[inline(always)]
pub(super) fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which may name any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
