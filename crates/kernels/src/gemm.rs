//! Products of many vectors: as fast as the processor multiplies.
//!
//! A tile of outputs is summed up in registers. For it weights and vectors are repacked ([`pack`]) such that a tile reads
//! both from end to end: a vector register holds the same unit of several rows of weights, and is multiplied with a unit
//! of each of a few vectors in turn. A panel is as many rows as a tile has. The thread that multiplies a panel repacks it,
//! and it stays in that core's L2 cache while the vectors, repacked once for all panels ([`packed_b`]), pass by.
//!
//! Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008), has the reasons. What a
//! unit is and how it is multiplied is up to a [`MicroKernel`] ([`dense`]).
//!
//! Every output is one chain of additions over the columns, whatever the tile: a row of the result has the same bits
//! alone or in a batch, and on any number of threads.

pub mod dense;
pub mod pack;
mod packed_b;
mod tile;
pub mod transpose;

use std::{cell::RefCell, ops::Range};

use pulp::Simd;

use self::{
    packed_b::PackedB,
    tile::{Output, panel},
    transpose::Transpose,
};
use crate::{prefetch::Prefetcher, share::share};

/// Registers of rows in a tile.
const MR: usize = 2;

/// Bytes of packed vectors that pass by each panel: they should stay in the last-level cache.
const PACKED_BYTES: usize = 16 << 20;

/// Tasks per thread: more than one, so that a thread that is delayed delays the others little.
const TASKS: usize = 4;

/// How rows and vectors of one type are packed, and how a tile multiplies them.
pub trait MicroKernel: Sync {
    type Simd: Transpose;
    /// A matrix of weights.
    type Weight: Copy + Send + Sync;

    /// Vectors in the widest tile, a multiple of three: the others have a third and two thirds of that.
    const NR: usize;
    /// Units that a step along the columns takes of each row ...
    const ROW_UNITS: usize;
    /// ... and of each vector.
    const VECTOR_UNITS: usize;

    fn simd(&self) -> Self::Simd;

    /// Runs `f` compiled for this kernel's instructions, if all it calls is `#[inline(always)]`.
    fn vectorize(&self, f: impl FnOnce());

    /// The number of vectors.
    fn vectors(&self) -> usize;

    fn rows(&self, weight: &Self::Weight) -> usize;

    /// Steps along the columns.
    fn steps(&self) -> usize;

    /// `vectors`, padded with zeros to `width` of them -> `packed` `[VECTOR_UNITS * steps, width]`.
    fn pack_vectors(&self, vectors: Range<usize>, width: usize, steps: Range<usize>, packed: &mut [f32]);

    /// `rows`, padded with zeros to those of a tile -> `packed` `[ROW_UNITS * steps, MR * lanes]`.
    fn pack_rows(&self, weight: &Self::Weight, rows: Range<usize>, steps: Range<usize>, packed: &mut [f32]);

    /// `rows` as they are stored.
    fn stored<'a>(&'a self, weight: &'a Self::Weight, rows: Range<usize>) -> &'a [u8];

    /// Adds the products of packed rows `w` and vectors `x` to a tile `sums`. Steps `prefetcher` once for each unit of a row.
    fn add<const N: usize>(
        &self,
        w: &[[Vector<Self>; MR]],
        x: &[[f32; N]],
        sums: [[Vector<Self>; MR]; N],
        prefetcher: Prefetcher<'_>,
    ) -> [[Vector<Self>; MR]; N];
}

/// A vector register.
pub type Vector<S> = <<S as MicroKernel>::Simd as Simd>::f32s;

/// Rows of a tile.
const fn height<S: MicroKernel>() -> usize {
    MR * <S::Simd as Simd>::F32_LANES
}

/// The `n` vectors of `kernel` times each weight `[rows, ..]` -> its `y` `[n, rows]`.
///
/// # Panics
/// If the lengths contradict each other.
pub fn multiply<S: MicroKernel>(kernel: &S, products: &mut [(S::Weight, &mut [f32])]) {
    let n = kernel.vectors();
    let outputs: Vec<(S::Weight, Output)> =
        products.iter_mut().map(|(weight, y)| (*weight, Output::new(y, n, kernel.rows(weight)))).collect();
    if n == 0 {
        return;
    }
    let vector_bytes = kernel.steps() * S::VECTOR_UNITS * size_of::<f32>();
    let max = (PACKED_BYTES / vector_bytes).max(S::NR);
    let even = n.div_ceil(n.div_ceil(max));
    let chunk = even.next_multiple_of(S::NR);

    let mut buffer = PACKED_B.take();
    for first in (0..n).step_by(chunk) {
        let vectors = first..n.min(first + chunk);
        multiply_chunk(kernel, vectors, &outputs, &mut buffer);
    }
    PACKED_B.set(buffer);
}

fn multiply_chunk<S: MicroKernel>(
    kernel: &S,
    vectors: Range<usize>,
    outputs: &[(S::Weight, Output)],
    buffer: &mut Vec<f32>,
) {
    let x = &PackedB::pack(kernel, vectors, buffer);
    let high = height::<S>();
    let panels: usize = outputs.iter().map(|(_, y)| y.rows().div_ceil(high)).sum();
    // Where there are few panels, several threads share one, and each packs it for itself.
    let parts = (TASKS * rayon::current_num_threads()).div_ceil(panels.max(1));
    let per_part = if rayon::current_num_threads() == 1 {
        x.vectors().len()
    } else {
        x.vectors().len().div_ceil(parts).next_multiple_of(S::NR)
    };

    // The panels of all weights together, so that no thread waits at the end of each weight.
    let mut tasks = Vec::new();
    for (weight, y) in outputs {
        for first in (0..y.rows()).step_by(high) {
            let rows = first..y.rows().min(first + high);
            for first in x.vectors().step_by(per_part) {
                let vectors = first..x.vectors().end.min(first + per_part);
                tasks.push((weight, y, rows.clone(), vectors));
            }
        }
    }
    share(rayon::current_num_threads(), tasks.len(), |task| {
        let (weight, y, rows, vectors) = &tasks[task];
        PANEL.with_borrow_mut(|buffer| {
            kernel.vectorize(
                #[inline(always)]
                // SAFETY: every task has rows and vectors of its own.
                || unsafe { panel(kernel, x, weight, rows.clone(), vectors.clone(), y, buffer) },
            );
        });
    });
}

thread_local! {
    // Reused: fresh memory is slow.
    static PACKED_B: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `len` numbers of any value, from the start of a cache line on.
fn aligned(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    const LINE: usize = 64;
    let enough = len + LINE / size_of::<f32>();
    if buffer.len() < enough {
        buffer.resize(enough, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE);
    &mut buffer[start..][..len]
}

/// `all` in chunks of `len`, the last of fewer.
fn ranges(all: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = all.end;
    all.step_by(len).map(move |first| first..end.min(first + len))
}
