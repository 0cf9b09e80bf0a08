//! Thin products with float weights: dot products of a few rows with a few vectors, in registers.

use std::{array::from_fn, borrow::Cow};

use rayon::prelude::*;

use super::{BLOCK_ROWS, MatVec, TILE_VECTORS};
use crate::{
    float::{Float, vectors, zero_padded},
    isa::{Isa, Kernel},
    matrix::Matrix,
    prefetch::prefetch,
    simd_ext::SimdExt,
};

/// Groups of vectors that one thread interleaves before another wakes up.
const SERIAL_GROUPS: usize = 8;

/// Bytes of vectors that stay in the L2 cache beside a block of weights.
const KEPT_BYTES: usize = 512 << 10;

impl<T: Float> MatVec for Matrix<'_, T> {
    /// Lanes of a vector register.
    type Order = usize;
    type Input<'x> = Interleaved<'x>;

    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns()
    }

    fn row_bytes(&self) -> usize {
        self.columns() * size_of::<T>()
    }

    fn order(&self, isa: Isa) -> usize {
        isa.lanes()
    }

    fn input(x: &[f32], columns: usize, lanes: usize) -> Interleaved<'_> {
        Interleaved::new(x, columns, lanes)
    }

    fn chunks(self, rows: usize) -> impl Iterator<Item = Self> {
        let chunks = self.values().chunks(rows * self.columns());
        chunks.map(move |values| Matrix::new(values, self.columns()))
    }

    fn multiply(self, isa: Isa, x: &Interleaved<'_>, y: Vec<&mut [f32]>) {
        let weight = self.values();
        isa.run(Rows { x, weight, y });
    }
}

/// `x` `[n, columns]` in the order in which it is read.
///
/// Vectors are often a power of two apart and would evict each other from the cache. So [`TILE_VECTORS`] of them are
/// interleaved, a register of each in turn, the last one padded with zeros.
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
            let groups = values.par_chunks_mut(TILE_VECTORS * padded);
            groups
                .zip(x.par_chunks(TILE_VECTORS * columns))
                .with_min_len(SERIAL_GROUPS)
                .for_each(|(to, x)| interleave(x, to, columns, lanes));
            Cow::Owned(values)
        };
        Self { values, columns, lanes }
    }

    /// How many vectors the L2 cache holds while all rows pass by, a multiple of [`TILE_VECTORS`].
    fn kept(&self) -> usize {
        let bytes = self.columns * size_of::<f32>();
        (KEPT_BYTES / bytes / TILE_VECTORS).max(1) * TILE_VECTORS
    }
}

/// Vectors `x` `[.., columns]` -> `to`, `lanes` numbers of each in turn.
fn interleave(x: &[f32], to: &mut [f32], columns: usize, lanes: usize) {
    let n = x.len() / columns;
    for (i, x) in x.chunks(columns).enumerate() {
        for (x, to) in x.chunks(lanes).zip(to[i * lanes..].chunks_mut(n * lanes)) {
            to[..x.len()].copy_from_slice(x);
        }
    }
}

/// `x` `[n, columns]` times some rows of weights `[rows, columns]`, `columns` at least one.
struct Rows<'a, T> {
    x: &'a Interleaved<'a>,
    weight: &'a [T],
    /// `n` slices `[rows]`.
    y: Vec<&'a mut [f32]>,
}

impl<T: Float> Kernel for Rows<'_, T> {
    #[inline(always)]
    fn run<S: SimdExt>(mut self, simd: S) {
        assert_eq!(self.x.lanes, S::F32_LANES);
        let columns = self.x.columns;
        let kept = self.x.kept();
        let (x, _) = S::as_simd_f32s(&self.x.values);
        let group = columns.div_ceil(S::F32_LANES) * TILE_VECTORS;
        for (x, y) in x.chunks(kept / TILE_VECTORS * group).zip(self.y.chunks_mut(kept)) {
            for (block, weight) in self.weight.chunks(BLOCK_ROWS * columns).enumerate() {
                let groups = x.chunks(group).zip(y.chunks_mut(TILE_VECTORS));
                for (i, (x, y)) in groups.enumerate() {
                    let block = Block { weight, first: block * BLOCK_ROWS, columns, ahead: i == 0 };
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

/// [`BLOCK_ROWS`] rows of weights or fewer.
struct Block<'a, T> {
    weight: &'a [T],
    /// Where their products begin.
    first: usize,
    columns: usize,
    /// Whether the rows after these still lie in memory.
    ahead: bool,
}

impl<T: Float> Block<'_, T> {
    /// All rows, `R` at a time, times `N` vectors, into `y[..][first..]`.
    #[inline(always)]
    fn times<S: SimdExt, const R: usize, const N: usize>(&self, simd: S, x: &[S::f32s], y: &mut [&mut [f32]]) {
        let columns = self.columns;
        let ahead = if self.ahead { R * columns } else { 0 };
        let (x, _) = x.as_chunks::<N>();
        let tiles = self.weight.chunks_exact(R * columns);
        let rest = tiles.remainder();
        let mut row = self.first;
        for tile in tiles {
            let weight: [&[T]; R] = from_fn(|r| &tile[r * columns..][..columns]);
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
fn dots<S: SimdExt, T: Float, const R: usize, const N: usize>(
    simd: S,
    weight: [&[T]; R],
    x: &[[S::f32s; N]],
    ahead: usize,
) -> [[f32; R]; N] {
    let columns = weight[0].len();
    let whole = columns / S::F32_LANES;
    let heads: [&[T::Packed<S>]; R] = from_fn(|r| &vectors::<T, S>(weight[r])[..whole]);
    let (x_heads, x_tail) = x.split_at(whole);

    let zero = simd.splat_f32s(0.0);
    let mut sums = [[zero; R]; N];
    let mut w = [zero; R];
    for i in 0..whole {
        for (w, head) in w.iter_mut().zip(&heads) {
            prefetch(head[i..].as_ptr().wrapping_byte_add(ahead * size_of::<T>()));
            *w = T::widen(simd, head[i]);
        }
        step(simd, &mut sums, &w, &x_heads[i]);
    }
    if let Some(x) = x_tail.first() {
        for (w, row) in w.iter_mut().zip(&weight) {
            *w = T::widen(simd, zero_padded::<T, S>(&row[whole * S::F32_LANES..]));
        }
        step(simd, &mut sums, &w, x);
    }
    // Plain loops: `map` would take the sums by address, and keep them in memory throughout.
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
fn step<S: SimdExt, const R: usize, const N: usize>(
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
