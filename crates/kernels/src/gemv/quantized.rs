//! Thin products with quantized weights: integer dot products of a few rows with a few vectors, in registers.

use pulp::Simd;

use super::{
    BLOCK_ROWS, MatVec, TILE_VECTORS,
    activations::{Activations, Groups, Order},
    byte_dots::{ByteDots, OnByteDots, dispatch},
};
use crate::{
    isa::Isa,
    prefetch::prefetch,
    quant::{GROUP_SIZE, QuantFormat, QuantizedMatrix, Row, ZERO_POINTS_PER_WORD, words},
    simd_ext::SimdExt,
};

/// Bytes of memory that the processor prefetches in.
const PAGE: usize = 4096;

/// Bytes that quants are prefetched ahead of their use.
const AHEAD: usize = 8192;

impl MatVec for QuantizedMatrix<'_> {
    type Order = Order;
    type Input<'x> = Activations;

    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn row_bytes(&self) -> usize {
        self.row_bytes()
    }

    fn order(&self, isa: Isa) -> Order {
        dispatch(isa, OrderOf(self.format))
    }

    fn input(x: &[f32], columns: usize, order: Order) -> Activations {
        Activations::new(x, columns, order)
    }

    fn chunks(self, rows: usize) -> impl Iterator<Item = Self> {
        self.chunks(rows)
    }

    fn multiply(self, isa: Isa, x: &Activations, y: Vec<&mut [f32]>) {
        let weight = self;
        dispatch(isa, Rows { x, weight, y });
    }
}

struct OrderOf(QuantFormat);

impl OnByteDots for OrderOf {
    type Output = Order;

    fn run<B: ByteDots>(self, _: B) -> Order {
        B::order(self.0)
    }
}

/// [`QuantFormat`] that the compiler knows.
trait Format {
    const FORMAT: QuantFormat;
}

struct Four;

impl Format for Four {
    const FORMAT: QuantFormat = QuantFormat::Int4;
}

struct Float;

impl Format for Float {
    const FORMAT: QuantFormat = QuantFormat::Mxfp4;
}

struct Eight;

impl Format for Eight {
    const FORMAT: QuantFormat = QuantFormat::Int8;
}

type Floats<B> = <<B as ByteDots>::Simd as Simd>::f32s;

/// Some rows of a matrix, times all vectors.
struct Rows<'a> {
    x: &'a Activations,
    weight: QuantizedMatrix<'a>,
    /// `n` slices `[rows]`.
    y: Vec<&'a mut [f32]>,
}

impl OnByteDots for Rows<'_> {
    type Output = ();

    fn run<B: ByteDots>(mut self, bytes: B) {
        bytes.vectorize(
            #[inline(always)]
            || match self.weight.format {
                QuantFormat::Int4 => self.multiply::<B, Four>(bytes),
                QuantFormat::Int8 => self.multiply::<B, Eight>(bytes),
                QuantFormat::Mxfp4 => self.multiply::<B, Float>(bytes),
            },
        );
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn multiply<B: ByteDots, F: Format>(&mut self, bytes: B) {
        let rows = self.weight.rows();
        // As many rows as there are registers for: activations that were loaded are used once for each. But no more than
        // lie in about a page: beyond it the processor reads several streams at a time less well than one.
        let near = 4 * words(self.weight.columns, F::FORMAT) * size_of::<i32>() <= PAGE;
        let many = B::Simd::REGISTER_COUNT >= 32;
        for first in (0..rows).step_by(BLOCK_ROWS) {
            let block = Block { x: self.x, weight: self.weight, rows: [first, rows.min(first + BLOCK_ROWS)] };
            for (i, y) in self.y.chunks_mut(TILE_VECTORS).enumerate() {
                let first = i * TILE_VECTORS;
                match (y.len(), many) {
                    (1, _) if near => block.times::<B, F, 4, 1>(bytes, first, y),
                    (1, _) => block.times::<B, F, 2, 1>(bytes, first, y),
                    (2, true) if near => block.times::<B, F, 4, 2>(bytes, first, y),
                    (2, _) => block.times::<B, F, 2, 2>(bytes, first, y),
                    (3, true) => block.times::<B, F, 2, 3>(bytes, first, y),
                    (3, false) => block.times::<B, F, 1, 3>(bytes, first, y),
                    (_, true) => block.times::<B, F, 2, 4>(bytes, first, y),
                    (_, false) => block.times::<B, F, 1, 4>(bytes, first, y),
                }
            }
        }
    }
}

/// [`BLOCK_ROWS`] rows or fewer.
struct Block<'a> {
    x: &'a Activations,
    weight: QuantizedMatrix<'a>,
    rows: [usize; 2],
}

impl Block<'_> {
    /// All rows, `R` at a time, times the `N` vectors from `vector` on, into `y[..][rows]`.
    #[inline(always)]
    fn times<B: ByteDots, F: Format, const R: usize, const N: usize>(
        &self,
        bytes: B,
        vector: usize,
        y: &mut [&mut [f32]],
    ) {
        let mut x = [self.x.vector(vector); N];
        for (n, x) in x.iter_mut().enumerate() {
            *x = self.x.vector(vector + n);
        }
        let [mut row, end] = self.rows;
        // Only the first vectors wait for memory: the others find these rows in a cache.
        let ahead = if vector == 0 { AHEAD } else { 0 };
        while row + R <= end {
            let products = dots::<B, F, R, N>(bytes, self.some(row), &x, ahead);
            for (y, products) in y.iter_mut().zip(&products) {
                y[row..][..R].copy_from_slice(products);
            }
            row += R;
        }
        for row in row..end {
            let products = dots::<B, F, 1, N>(bytes, self.some(row), &x, 0);
            for (y, [product]) in y.iter_mut().zip(&products) {
                y[row] = *product;
            }
        }
    }

    #[inline(always)]
    fn some<const R: usize>(&self, row: usize) -> [Row<'_>; R] {
        let mut rows = [self.weight.row(row); R];
        for (r, some) in rows.iter_mut().enumerate() {
            *some = self.weight.row(row + r);
        }
        rows
    }
}

impl Row<'_> {
    /// Some of its groups, the first one the first of a word of zero points.
    #[inline(always)]
    fn range(&self, first: usize, len: usize, format: QuantFormat) -> Self {
        let bytes = format.group_bytes();
        let zero_points = match format {
            QuantFormat::Int4 => {
                let first = first / ZERO_POINTS_PER_WORD;
                &self.zero_points[first..][..len.div_ceil(ZERO_POINTS_PER_WORD)]
            }
            QuantFormat::Int8 | QuantFormat::Mxfp4 => &[],
        };
        Self { quants: &self.quants[first * bytes..][..len * bytes], scales: &self.scales[first..][..len], zero_points }
    }
}

/// `[N][R]`: the product of every row with every vector.
// Loops over arrays: `map` and `from_fn` take vectors by address and are not always inlined.
#[inline(always)]
fn dots<B: ByteDots, F: Format, const R: usize, const N: usize>(
    bytes: B,
    rows: [Row<'_>; R],
    x: &[Groups<'_>; N],
    ahead: usize,
) -> [[f32; R]; N] {
    let lanes = B::Simd::F32_LANES;
    let groups = rows[0].scales.len();
    let whole = groups / lanes * lanes;
    let zero = bytes.simd().splat_f32s(0.0);
    let mut sums = [[zero; R]; N];
    for at in (0..whole).step_by(lanes) {
        span::<B, F, R, N>(bytes, &rows, x, at, None, ahead, &mut sums);
    }
    if whole < groups {
        let rest = Some(groups - whole);
        span::<B, F, R, N>(bytes, &rows, x, whole, rest, ahead, &mut sums);
    }

    let mut products = [[0.0; R]; N];
    for (products, sums) in products.iter_mut().zip(&sums) {
        let mut four = [zero; 4];
        four[..R].copy_from_slice(sums);
        products.copy_from_slice(&bytes.sums(four)[..R]);
    }
    products
}

/// The products of as many groups as a vector has lanes, from group `at` on, or of the rest of a row.
#[inline(always)]
fn span<B: ByteDots, F: Format, const R: usize, const N: usize>(
    bytes: B,
    rows: &[Row<'_>; R],
    x: &[Groups<'_>; N],
    at: usize,
    rest: Option<usize>,
    ahead: usize,
    sums: &mut [[Floats<B>; R]; N],
) {
    let simd = bytes.simd();
    let lanes = B::Simd::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    let (mut w, mut v) = (*rows, *x);
    for (w, row) in w.iter_mut().zip(rows) {
        *w = row.range(at, rest.unwrap_or(lanes), F::FORMAT);
    }
    for (v, x) in v.iter_mut().zip(x) {
        *v = x.range(at, lanes);
    }

    // Rows lie one after the other, and their cache lines are prefetched in that order, not in the order of their use.
    let scales_ahead = ahead / F::FORMAT.group_bytes();
    let mut scales = [[zero; R]; N];
    for (r, w) in w.iter().enumerate() {
        let line = at * R + r * lanes;
        prefetch(rows[0].scales.as_ptr().wrapping_add(line + scales_ahead));
        let stored = w.zero_points;
        let w = bytes.scales(w.scales);
        // What zero points and offsets take from the products, by the sum of each group's activations.
        let zeros = match F::FORMAT {
            QuantFormat::Int4 => bytes.zero_points(stored),
            format => simd.splat_f32s(format.offset() as f32),
        };
        let zeros = simd.mul_f32s(simd.neg_f32s(w), zeros);
        for ((scales, sums), v) in scales.iter_mut().zip(&mut *sums).zip(&v) {
            scales[r] = simd.mul_f32s(w, bytes.floats(v.scales));
            if B::offset(F::FORMAT) {
                sums[r] = simd.multiply_add(zeros, bytes.floats(v.sums), sums[r]);
            }
        }
    }

    let groups = B::groups(F::FORMAT);
    for vector in 0..rest.unwrap_or(lanes).div_ceil(groups) {
        let mut quants = [bytes.load(&[]); R];
        for (r, (quants, w)) in quants.iter_mut().zip(&w).enumerate() {
            let line = ((at / groups + vector) * R + r) * B::BYTES;
            prefetch(rows[0].quants.as_ptr().wrapping_add(line + ahead));
            let w = &w.quants[vector * B::BYTES..];
            *quants = bytes.load(match rest {
                None => &w[..B::BYTES],
                Some(_) => &w[..w.len().min(B::BYTES)],
            });
        }
        for ((sums, scales), v) in sums.iter_mut().zip(&scales).zip(&v) {
            let columns = groups * GROUP_SIZE;
            let v = bytes.activations(F::FORMAT, &v.quants[vector * columns..][..columns]);
            for ((sum, scales), quants) in sums.iter_mut().zip(scales).zip(&quants) {
                let product = bytes.times(F::FORMAT, *quants, v);
                let scale = bytes.spread(F::FORMAT, *scales, vector);
                *sum = simd.multiply_add(product, scale, *sum);
            }
        }
    }
}
