//! Thin products: `y = x W^T` for one vector or a few, as fast as the weights can be read from memory, once.
//!
//! Weights are read where they lie, row after row: one stream of memory for each thread, which most processors follow by
//! themselves, and which others are told of ([`isa::ahead`](crate::isa::ahead)).
//!
//! Floats are multiplied in float32 or bfloat16 ([`dense`]), quantized weights as integers ([`quantized`]): what instruction
//! sets have for it is in [`bytes`], what formats are made of in [`planar`] and [`blocks`], how vectors lie in [`tiles`], and [`panels`] has those whose rows lie
//! side by side.
//!
//! Every output is a fixed number of chains of multiply-adds over the columns and one sum over all their lanes. Nothing
//! changes that order: a row has the same bits alone or in a batch, and on any number of threads.

use std::{array::from_fn, ops::Range};

use activations::Order;
use output::Output;

use crate::{isa::Isa, share::share};

pub mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod blocks;
mod bytes;
mod dense;
#[cfg(target_arch = "aarch64")]
mod neon;
mod output;
#[cfg(target_arch = "x86_64")]
mod panels;
mod planar;
mod portable;
mod quantized;
pub mod tiles;

/// Vectors that are multiplied with the weights while these are in registers.
const TILE_VECTORS: usize = 4;

/// Bytes of weights per tile of vectors that one core reads about as soon as two: it takes a microsecond until another that
/// is awake has come and left.
const SERIAL: usize = 128 << 10;

/// Bytes of weights that a thread takes at a time: they stay in its caches while all vectors pass, ...
const PIECE_BYTES: usize = 64 << 10;

/// ... and there are as many for each thread, or more, so that one that is held up holds the others up little.
const PIECES: usize = 8;

/// Matrices that are multiplied with one wait for all threads.
const TOGETHER: usize = 8;

/// A matrix of weights `[rows, columns]` that is multiplied where it lies with vectors of numbers `X`.
pub trait MatVec<X>: Sync {
    /// Vectors as they are read.
    type Input<'x>: Sync;

    fn rows(&self) -> usize;

    fn columns(&self) -> usize;

    /// Bytes that a row takes in memory.
    fn row_bytes(&self) -> usize;

    /// Rows that are multiplied at a time with so many vectors; a thread takes a multiple.
    fn tile_rows(_vectors: usize) -> usize {
        TILE_ROWS
    }

    /// Pieces of a matrix for each thread, where not the weights but so many vectors are most of what is read.
    fn pieces(_vectors: usize) -> Option<usize> {
        None
    }

    /// The order in which it reads vectors.
    fn order(&self) -> Order {
        Order::Plain
    }

    /// `x` `[n, columns]` in this order, `columns` at least one.
    fn input(isa: Isa, x: &[X], columns: usize, order: Order) -> Self::Input<'_>;

    /// Some rows times all vectors.
    fn multiply(&self, isa: Isa, rows: Range<usize>, x: &Self::Input<'_>, y: &Output<'_>);
}

/// `x` `[n, columns]` times each matrix `[rows, columns]` -> its `y` `[n, rows]`: several products of one `x` (queries, keys
/// and values; gate and up) with one wait for all threads.
///
/// Weights are read from memory once whatever `n` is, up to about eight vectors at the speed of the memory. See
/// [`crate::matmul`] for prompts. The result does not depend on the number of threads, nor a row of it on the other rows.
///
/// Error: for floats `2 columns u` of the sum of magnitudes, with unit roundoff `u` of float32. For quantized weights `x` is
/// rounded to 8 bits ([`activations::Span`]): an `x` that is off by half of its group's scale `d` makes the product
/// with a row `w` off by the sum of `d / 2 * |w|`. The sum of a group is exact, and the sum over groups is one in float32.
///
/// # Panics
/// If the lengths contradict each other.
pub fn gemv<X: Copy, M: MatVec<X>>(isa: Isa, x: &[X], products: &mut [(M, &mut [f32])]) {
    for products in products.chunks_mut(TOGETHER) {
        together(isa, x, products);
    }
}

/// One matrix and its products.
struct Task<'a, M> {
    matrix: &'a M,
    y: Output<'a>,
    rows: usize,
    /// Rows of a piece.
    piece: usize,
    pieces: usize,
}

fn together<X: Copy, M: MatVec<X>>(isa: Isa, x: &[X], products: &mut [(M, &mut [f32])]) {
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
    let bytes: usize = matrices().map(|m| m.rows() * m.row_bytes()).sum();
    let threads = threads(bytes * n.div_ceil(TILE_VECTORS));
    let piece_bytes = (bytes / (threads * PIECES)).min(PIECE_BYTES);

    let input = |order| {
        let wanted = matrices().any(|matrix| matrix.order() == order);
        wanted.then(|| M::input(isa, x, columns, order))
    };
    let inputs = [input(Order::Plain), input(Order::EvenOdd)];
    let mut products = products.iter_mut();
    let tasks: [Option<Task<'_, M>>; TOGETHER] = from_fn(|_| {
        let (matrix, y) = products.next()?;
        assert_eq!(matrix.columns(), columns, "every matrix is [rows, columns]");
        let rows = matrix.rows();
        assert_eq!(y.len(), n * rows, "y is [n, rows]");
        let tile = M::tile_rows(n);
        let piece = match M::pieces(n) {
            Some(pieces) => rows.div_ceil(tile).div_ceil(threads * pieces) * tile,
            None => piece_bytes / matrix.row_bytes() / tile * tile,
        };
        let piece = piece.max(tile);
        let pieces = if n == 0 { 0 } else { rows.div_ceil(piece) };
        // SAFETY: a row is in one piece, and a piece is taken by one thread.
        let y = unsafe { Output::new(y, rows) };
        Some(Task { matrix, y, rows, piece, pieces })
    });
    let pieces = tasks.iter().flatten().map(|task| task.pieces).sum();
    share(threads, pieces, |mut piece| {
        for task in tasks.iter().flatten() {
            if piece < task.pieces {
                let first = piece * task.piece;
                let rows = first..task.rows.min(first + task.piece);
                if let Some(x) = &inputs[task.matrix.order() as usize] {
                    task.matrix.multiply(isa, rows, x, &task.y);
                }
                return;
            }
            piece -= task.pieces;
        }
    });
}

/// Rows that are multiplied at a time, unless said otherwise.
const TILE_ROWS: usize = 4;

/// How many threads so many bytes are worth.
fn threads(bytes: usize) -> usize {
    if bytes < SERIAL { 1 } else { rayon::current_num_threads().min(bytes / PIECE_BYTES).max(1) }
}

#[cfg(test)]
mod tests;
