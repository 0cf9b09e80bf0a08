//! Thin products: `y = x W^T` for one vector or a few, as fast as the weights can be read from memory, once.
//!
//! Weights are read where they lie, a chunk of rows at a time. Floats are multiplied as float32 ([`dense`]), quantized
//! weights as integers ([`quantized`]).
//!
//! Every output is one chain of multiply-adds over the columns and one sum over the lanes at its end. No shape of a tile
//! changes that order: a row has the same bits alone or in a batch, and on any number of threads.

use rayon::prelude::*;

use crate::isa::Isa;

pub mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod byte_dots;
mod dense;
mod portable;
mod quantized;
#[cfg(target_arch = "x86_64")]
mod vnni;

/// Vectors that are multiplied with the weights while these are in registers.
const TILE_VECTORS: usize = 4;

/// Rows that are multiplied with all vectors before the next are read: a multiple of every tile's, and small enough for
/// the L2 cache.
const BLOCK_ROWS: usize = 24;

/// Bytes of weights per tile of vectors that one core reads sooner than another wakes up. From a thread outside rayon's
/// pool that takes about 20 us ...
const SERIAL_OUTSIDE: usize = 1 << 20;

/// ... and inside it half of that or less, since the caller does the work itself if no other thread comes.
const SERIAL_INSIDE: usize = 256 << 10;

/// Chunks per thread: more than one, so that a thread that is delayed delays the others little.
const CHUNKS: usize = 4;

/// Vectors that are multiplied about as fast as the weights can be read.
const FEW: usize = 8;

/// Bytes of weights in a chunk that more vectors than [`FEW`] pass several times: it should stay in the last-level cache.
const LONG_BYTES: usize = 1 << 20;

/// A matrix of weights `[rows, columns]` that is multiplied where it lies.
pub trait MatVec: Copy + Send {
    /// The order in which it reads vectors.
    type Order: Copy + PartialEq;
    /// Vectors in that order.
    type Input<'x>: Sync;

    fn rows(&self) -> usize;

    fn columns(&self) -> usize;

    /// Bytes that a row takes in memory.
    fn row_bytes(&self) -> usize;

    fn order(&self, isa: Isa) -> Self::Order;

    /// `x` `[n, columns]` in this order, `columns` at least one.
    fn input(x: &[f32], columns: usize, order: Self::Order) -> Self::Input<'_>;

    /// Chunks of `rows` rows, the last of fewer.
    fn chunks(self, rows: usize) -> impl Iterator<Item = Self>;

    /// All rows times all vectors `x` -> `y`, `n` slices `[rows]`.
    fn multiply(self, isa: Isa, x: &Self::Input<'_>, y: Vec<&mut [f32]>);
}

/// `x` `[n, columns]` times each matrix `[rows, columns]` -> its `y` `[n, rows]`: several products of one `x` (queries, keys
/// and values; gate and up) with one wait for all threads.
///
/// Weights are read from memory once whatever `n` is, up to about eight vectors at the speed of the memory. See
/// [`crate::matmul`] for prompts. The result does not depend on the number of threads, nor a row of it on the other rows.
///
/// Error: for floats `2 columns u` of the sum of magnitudes, with unit roundoff `u` of float32. For quantized weights `x` is
/// rounded to 8 bits ([`activations::Activations`]): an `x` that is off by half of its group's scale `d` makes the product
/// with a row `w` off by the sum of `d / 2 * |w|`. The sum of a group is exact, and the sum over groups is one in float32.
///
/// # Panics
/// If the lengths contradict each other.
pub fn gemv<M: MatVec>(isa: Isa, x: &[f32], products: &mut [(M, &mut [f32])]) {
    let Some(columns) = products.first().map(|(matrix, _)| matrix.columns()) else {
        return;
    };
    if columns == 0 {
        for (_, y) in products {
            y.fill(0.0);
        }
        return;
    }
    assert_eq!(x.len() % columns, 0, "x is [n, columns]");
    let n = x.len() / columns;
    let matrices = || products.iter().map(|(matrix, _)| matrix);
    let rows: usize = matrices().map(M::rows).sum();
    let bytes: usize = matrices().map(|m| m.rows() * m.row_bytes()).sum();
    let chunk_rows = rows_per_chunk(n, rows, bytes.div_ceil(rows.max(1)));

    // Matrices in 8 bits read vectors in another order than those in 4.
    let mut inputs: Vec<(M::Order, M::Input<'_>)> = Vec::new();
    for matrix in matrices() {
        let order = matrix.order(isa);
        if inputs.iter().all(|(made, _)| *made != order) {
            inputs.push((order, M::input(x, columns, order)));
        }
    }
    let mut chunks = Vec::new();
    for (matrix, y) in products {
        assert_eq!(matrix.columns(), columns, "every matrix is [rows, columns]");
        let rows = matrix.rows();
        assert_eq!(y.len(), n * rows, "y is [n, rows]");
        if y.is_empty() {
            continue;
        }
        let order = matrix.order(isa);
        let mut outputs: Vec<_> = y.chunks_mut(rows).map(|y| y.chunks_mut(chunk_rows)).collect();
        for (_, x) in inputs.iter().filter(|(made, _)| *made == order) {
            chunks.extend(matrix.chunks(chunk_rows).map(|matrix| {
                let y: Vec<_> = outputs.iter_mut().flat_map(Iterator::next).collect();
                (matrix, x, y)
            }));
        }
    }
    if chunk_rows >= rows {
        chunks.into_iter().for_each(|(matrix, x, y)| matrix.multiply(isa, x, y));
    } else {
        let chunks = chunks.into_par_iter().with_max_len(1);
        chunks.for_each(|(matrix, x, y)| matrix.multiply(isa, x, y));
    }
}

/// How many rows of `row_bytes` a thread takes at a time, at least one.
fn rows_per_chunk(n: usize, rows: usize, row_bytes: usize) -> usize {
    let serial = match rayon::current_thread_index() {
        Some(_) => SERIAL_INSIDE,
        None => SERIAL_OUTSIDE,
    };
    let threads = rayon::current_num_threads();
    if threads == 1 || rows * row_bytes * n.div_ceil(TILE_VECTORS) < serial {
        return rows.max(1);
    }
    let even = rows.div_ceil(threads * CHUNKS);
    let max = if n > FEW { LONG_BYTES / row_bytes } else { even };
    even.min(max).max(1).next_multiple_of(BLOCK_ROWS)
}

#[cfg(test)]
mod tests;
