//! Products of many vectors: as fast as the processor multiplies.
//!
//! Tiles of outputs are summed up in registers, for which weights and vectors are repacked such that a tile reads both from
//! end to end ([`pack`]). A vector register holds the same unit of several rows of weights, and is multiplied with a unit of
//! each of a few vectors in turn. A panel is as many rows as a tile has: repacked by the thread that multiplies it, it
//! stays in that core's second cache while the vectors, repacked once for all, pass by.
//!
//! Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008), has the reasons. What a
//! unit is and how it is multiplied is up to a [`Scheme`]: floating-point numbers ([`floats`]) or codes of a few bits ([`codes`]).
//!
//! Every output is one chain of additions over the columns, whatever the tile: a row of the result has the same bits
//! alone or in a batch, and on any number of threads.

mod ahead;
#[cfg(target_arch = "x86_64")]
pub mod codes;
pub mod floats;
pub mod pack;
mod passing;
pub mod square;
mod tile;

use std::{cell::RefCell, ops::Range};

use pulp::Simd;
use rayon::prelude::*;

use ahead::Ahead;
use passing::Passing;
use square::Square;
use tile::{Output, panel};

/// Registers of rows in a tile.
pub const VECTORS: usize = 2;

/// Bytes of packed vectors that pass by each panel, and so shall stay in the last cache.
const PASSING_BYTES: usize = 16 << 20;

/// Tasks per thread: more than one, so that a thread that was kept away holds nobody up for long.
const TASKS: usize = 4;

/// How many rows of a type are packed and multiplied.
pub trait Scheme: Sync {
    type Simd: Square;
    /// A matrix of weights.
    type Weight: Copy + Send + Sync;

    /// Vectors in the widest tile, a multiple of three: the others are a third and two thirds of that.
    const TOGETHER: usize;
    /// Units that a step along the columns takes of each row ...
    const ROW_UNITS: usize;
    /// ... and of each vector.
    const VECTOR_UNITS: usize;

    fn simd(&self) -> Self::Simd;

    /// Runs `f` compiled for the scheme's instructions, if all it calls is `#[inline(always)]`.
    fn vectorize(&self, f: impl FnOnce());

    /// How many vectors there are,
    fn vectors(&self) -> usize;

    /// rows of a weight,
    fn rows(&self, weight: &Self::Weight) -> usize;

    /// and steps along the columns.
    fn steps(&self) -> usize;

    /// `vectors`, filled up with zeros to `width` of them -> `packed` `[VECTOR_UNITS * steps, width]`.
    fn pack_vectors(
        &self,
        vectors: Range<usize>,
        width: usize,
        steps: Range<usize>,
        packed: &mut [f32],
    );

    /// `rows`, filled up with zeros to those of a tile -> `packed` `[ROW_UNITS * steps, VECTORS * lanes]`.
    fn pack_rows(
        &self,
        weight: &Self::Weight,
        rows: Range<usize>,
        steps: Range<usize>,
        packed: &mut [f32],
    );

    /// `rows` as they are stored.
    fn stored<'a>(&'a self, weight: &'a Self::Weight, rows: Range<usize>) -> &'a [u8];

    /// A tile: the products of packed rows `w` and vectors `x` onto `sums`. [`Ahead::turn`] is called once for each unit of a row.
    fn add<const N: usize>(
        &self,
        w: &[[Vector<Self>; VECTORS]],
        x: &[[f32; N]],
        sums: [[Vector<Self>; VECTORS]; N],
        ahead: Ahead<'_>,
    ) -> [[Vector<Self>; VECTORS]; N];
}

/// A register.
pub type Vector<S> = <<S as Scheme>::Simd as Simd>::f32s;

/// Rows of a tile.
const fn height<S: Scheme>() -> usize {
    VECTORS * <S::Simd as Simd>::F32_LANES
}

/// All vectors of `scheme`, `n`, times each weight `[rows, ..]` -> its `y` `[n, rows]`.
///
/// # Panics
/// If the lengths contradict each other.
pub fn multiply<S: Scheme>(scheme: &S, products: &mut [(S::Weight, &mut [f32])]) {
    let n = scheme.vectors();
    let outputs: Vec<(S::Weight, Output)> = products
        .iter_mut()
        .map(|(weight, y)| (*weight, Output::new(y, n, scheme.rows(weight))))
        .collect();
    if n == 0 {
        return;
    }
    let vector_bytes = scheme.steps() * S::VECTOR_UNITS * size_of::<f32>();
    let most = (PASSING_BYTES / vector_bytes).max(S::TOGETHER);
    let even = n.div_ceil(n.div_ceil(most));
    let chunk = even.next_multiple_of(S::TOGETHER);

    let mut buffer = PASSING.take();
    for first in (0..n).step_by(chunk) {
        let vectors = first..n.min(first + chunk);
        multiply_some(scheme, vectors, &outputs, &mut buffer);
    }
    PASSING.set(buffer);
}

fn multiply_some<S: Scheme>(
    scheme: &S,
    vectors: Range<usize>,
    outputs: &[(S::Weight, Output)],
    buffer: &mut Vec<f32>,
) {
    let x = &Passing::pack(scheme, vectors, buffer);
    let high = height::<S>();
    let panels: usize = outputs.iter().map(|(_, y)| y.rows().div_ceil(high)).sum();
    // Where there are few panels, several threads share one, each packing it for itself.
    let parts = (TASKS * rayon::current_num_threads()).div_ceil(panels.max(1));
    let per_part = match rayon::current_num_threads() {
        1 => x.vectors().len(),
        _ => x
            .vectors()
            .len()
            .div_ceil(parts)
            .next_multiple_of(S::TOGETHER),
    };

    // All of them together, so that no thread waits at the end of each.
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
    let tasks = tasks.into_par_iter().with_max_len(1);
    tasks.for_each(|(weight, y, rows, vectors)| {
        PANEL.with_borrow_mut(|buffer| {
            scheme.vectorize(
                #[inline(always)]
                // SAFETY: every task has rows and vectors of its own.
                || unsafe { panel(scheme, x, weight, rows, vectors, y, buffer) },
            );
        });
    });
}

thread_local! {
    // Kept from call to call: fresh memory is slow.
    static PASSING: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// So many numbers, whatever they are, from the start of a cache line on.
fn aligned(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    const LINE: usize = 64;
    let enough = len + LINE / size_of::<f32>();
    if buffer.len() < enough {
        buffer.resize(enough, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE);
    &mut buffer[start..][..len]
}

/// `all` in pieces of `len`, the last of fewer.
fn ranges(all: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = all.end;
    all.step_by(len)
        .map(move |first| first..end.min(first + len))
}
