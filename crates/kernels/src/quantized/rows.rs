//! Products of a few rows of codes with a few vectors, in registers.
//!
//! Every output is one chain of multiply-adds over vectors of a row's codes and one sum over the lanes at its end. No shape of
//! tile changes that order, so a row gives the same bits alone or in a batch, and on any number of threads.

use half::f16;
use pulp::Simd;

use super::{
    activations::{Activations, Quantized},
    bytes::{ByteLevel, Bytes},
};
use crate::{
    codes::{BLOCK, Bits, Codes, words},
    dot::prefetch,
    lanes::Lanes,
};

/// Vectors that are multiplied with the weights while these are in registers.
pub(super) const TOGETHER: usize = 4;

/// Rows that are multiplied with all vectors before the next are read, a multiple of every tile's.
pub(super) const ROWS: usize = 24;

/// Bytes of memory that the processor reads ahead in.
const PAGE: usize = 4096;

/// How many bytes before they are needed codes are asked for.
const AHEAD: usize = 8192;

/// [`Bits`] that the compiler knows.
trait Format {
    const BITS: Bits;
}

struct Four;

impl Format for Four {
    const BITS: Bits = Bits::Four;
}

struct Eight;

impl Format for Eight {
    const BITS: Bits = Bits::Eight;
}

type Floats<B> = <<B as Bytes>::Simd as Simd>::f32s;

/// Some rows of codes and what their products with all vectors shall be written to.
pub(super) struct Rows<'a> {
    pub(super) x: &'a Activations,
    pub(super) weight: Codes<'a>,
    /// `n` slices `[rows]`.
    pub(super) y: Vec<&'a mut [f32]>,
}

impl Rows<'_> {
    pub(super) fn run(self, level: ByteLevel) {
        match level {
            #[cfg(target_arch = "x86_64")]
            ByteLevel::Vnni(bytes) => self.with(bytes),
            #[cfg(target_arch = "x86_64")]
            ByteLevel::Avx2(bytes) => self.with(bytes),
            ByteLevel::Portable => self.with(pulp::Scalar256b),
        }
    }

    fn with<B: Bytes>(mut self, bytes: B) {
        bytes.vectorize(
            #[inline(always)]
            || match self.weight.bits {
                Bits::Four => self.multiply::<B, Four>(bytes),
                Bits::Eight => self.multiply::<B, Eight>(bytes),
            },
        );
    }

    #[inline(always)]
    fn multiply<B: Bytes, F: Format>(&mut self, bytes: B) {
        let rows = self.weight.rows();
        // As many rows as there are registers for: activations that were loaded are used once for each. But no more than
        // lie in about a page, beyond which the processor reads several streams at a time less well than one.
        let near = 4 * words(self.weight.columns, F::BITS) * size_of::<i32>() <= PAGE;
        let many = B::Simd::REGISTER_COUNT >= 32;
        for first in (0..rows).step_by(ROWS) {
            let block = Block {
                x: self.x,
                weight: self.weight,
                rows: [first, rows.min(first + ROWS)],
            };
            for (i, y) in self.y.chunks_mut(TOGETHER).enumerate() {
                let first = i * TOGETHER;
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

/// [`ROWS`] rows or fewer.
struct Block<'a> {
    x: &'a Activations,
    weight: Codes<'a>,
    rows: [usize; 2],
}

impl Block<'_> {
    /// All rows, `R` at a time, times the `N` vectors from `vector` on, into `y[..][rows]`.
    #[inline(always)]
    fn times<B: Bytes, F: Format, const R: usize, const N: usize>(
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
        // Only the first vectors wait for memory; the others find these rows in a cache.
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
    fn some<const R: usize>(&self, row: usize) -> [Part<'_>; R] {
        let mut rows = [Part::of(&self.weight, row); R];
        for (r, part) in rows.iter_mut().enumerate() {
            *part = Part::of(&self.weight, row + r);
        }
        rows
    }
}

/// Some blocks of a row of weights.
#[derive(Clone, Copy)]
struct Part<'a> {
    codes: &'a [u8],
    scales: &'a [f16],
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn of(weight: &Codes<'a>, row: usize) -> Self {
        let (codes, scales) = weight.row(row);
        Self { codes, scales }
    }

    #[inline(always)]
    fn blocks(&self, first: usize, blocks: usize, bits: Bits) -> Self {
        let bytes = bits.block_bytes();
        Self {
            codes: &self.codes[first * bytes..][..blocks * bytes],
            scales: &self.scales[first..][..blocks],
        }
    }
}

/// `[N][R]`: the product of every row with every vector.
// Loops over arrays rather than `map` and `from_fn`, which take vectors by address and are not always inlined.
#[inline(always)]
fn dots<B: Bytes, F: Format, const R: usize, const N: usize>(
    bytes: B,
    rows: [Part<'_>; R],
    x: &[Quantized<'_>; N],
    ahead: usize,
) -> [[f32; R]; N] {
    let lanes = B::Simd::F32_LANES;
    let blocks = rows[0].scales.len();
    let whole = blocks / lanes * lanes;
    let zero = bytes.simd().splat_f32s(0.0);
    let mut sums = [[zero; R]; N];
    for at in (0..whole).step_by(lanes) {
        span::<B, F, R, N>(bytes, &rows, x, at, None, ahead, &mut sums);
    }
    if whole < blocks {
        let rest = Some(blocks - whole);
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

/// The products of as many blocks as a vector has lanes, from block `at` on, or of the rest of a row.
#[inline(always)]
fn span<B: Bytes, F: Format, const R: usize, const N: usize>(
    bytes: B,
    rows: &[Part<'_>; R],
    x: &[Quantized<'_>; N],
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
        *w = row.blocks(at, rest.unwrap_or(lanes), F::BITS);
    }
    for (v, x) in v.iter_mut().zip(x) {
        *v = x.blocks(at, lanes);
    }

    // Rows lie one after the other, and their lines are asked for in that order, which is not the one they are used in.
    let scales_ahead = ahead / F::BITS.block_bytes();
    let offset = simd.splat_f32s(-F::BITS.offset() as f32);
    let mut scales = [[zero; R]; N];
    for (r, w) in w.iter().enumerate() {
        let line = at * R + r * lanes;
        prefetch(rows[0].scales.as_ptr().wrapping_add(line + scales_ahead));
        let w = bytes.scales(w.scales);
        for ((scales, sums), v) in scales.iter_mut().zip(&mut *sums).zip(&v) {
            scales[r] = simd.mul_f32s(w, bytes.floats(v.scales));
            if B::offset(F::BITS) {
                let offset = simd.mul_f32s(w, offset);
                sums[r] = simd.multiply_add(offset, bytes.floats(v.sums), sums[r]);
            }
        }
    }

    let blocks = B::blocks(F::BITS);
    for vector in 0..rest.unwrap_or(lanes).div_ceil(blocks) {
        let mut codes = [bytes.load(&[]); R];
        for (r, (codes, w)) in codes.iter_mut().zip(&w).enumerate() {
            let line = ((at / blocks + vector) * R + r) * B::BYTES;
            prefetch(rows[0].codes.as_ptr().wrapping_add(line + ahead));
            let w = &w.codes[vector * B::BYTES..];
            *codes = bytes.load(match rest {
                None => &w[..B::BYTES],
                Some(_) => &w[..w.len().min(B::BYTES)],
            });
        }
        for ((sums, scales), v) in sums.iter_mut().zip(&scales).zip(&v) {
            let columns = blocks * BLOCK;
            let v = bytes.activations(F::BITS, &v.codes[vector * columns..][..columns]);
            for ((sum, scales), codes) in sums.iter_mut().zip(scales).zip(&codes) {
                let product = bytes.times(F::BITS, *codes, v);
                let scale = bytes.spread(F::BITS, *scales, vector);
                *sum = simd.multiply_add(product, scale, *sum);
            }
        }
    }
}
