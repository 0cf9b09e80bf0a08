//! Tiles of outputs, summed up in registers.

use std::{marker::PhantomData, ops::Range};

use pulp::Simd;

use super::{MR, MicroKernel, Vector, aligned, height, packed_b::PackedB, ranges};
use crate::prefetch::Prefetcher;

/// `rows` of a weight, at most a tile's, times `vectors` of `x`, whole groups of them -> `y`
///
/// The rows are packed into `buffer`.
///
/// # Safety
/// No other reference to the outputs of these rows and vectors may exist.
#[inline(always)]
pub(super) unsafe fn panel<S: MicroKernel>(
    kernel: &S,
    x: &PackedB<'_, S>,
    weight: &S::Weight,
    rows: Range<usize>,
    vectors: Range<usize>,
    y: &Output<'_>,
    buffer: &mut Vec<f32>,
) {
    for steps in ranges(0..kernel.steps(), x.block()) {
        let packed = aligned(buffer, height::<S>() * steps.len() * S::ROW_UNITS);
        kernel.pack_rows(weight, rows.clone(), steps.clone(), packed);
        let (w, _) = S::Simd::as_simd_f32s(packed);
        let (w, _) = w.as_chunks::<MR>();
        // The rows that this thread probably packs next are prefetched while tiles keep it busy.
        let next = if steps.end == kernel.steps() { rows.end..y.rows().min(rows.end + height::<S>()) } else { 0..0 };
        let next = kernel.stored(weight, next);
        let groups = vectors.len().div_ceil(S::NR);
        let prefetches = steps.len() * S::ROW_UNITS;
        for (i, vectors) in ranges(vectors.clone(), S::NR).enumerate() {
            let x = x.group(&vectors, &steps);
            let width = PackedB::<S>::width(&vectors);
            let tile = Tile {
                kernel,
                w,
                x,
                y,
                rows: rows.clone(),
                vectors,
                first: steps.start == 0,
                prefetcher: Prefetcher::new(next, i, groups, prefetches),
            };
            // SAFETY: passed on.
            unsafe {
                match width {
                    12 => tile.run::<12>(),
                    8 => tile.run::<8>(),
                    6 => tile.run::<6>(),
                    4 => tile.run::<4>(),
                    2 => tile.run::<2>(),
                    _ => unreachable!("{} is 6 or 12", S::NR),
                }
            }
        }
    }
}

/// The outputs that the registers hold at a time.
struct Tile<'a, S: MicroKernel> {
    kernel: &'a S,
    w: &'a [[Vector<S>; MR]],
    x: &'a [f32],
    y: &'a Output<'a>,
    rows: Range<usize>,
    vectors: Range<usize>,
    /// Whether these are the first columns: no sums are continued.
    first: bool,
    prefetcher: Prefetcher<'a>,
}

impl<S: MicroKernel> Tile<'_, S> {
    /// # Safety
    /// No other reference to its outputs may exist.
    #[inline(always)]
    unsafe fn run<const N: usize>(self) {
        let simd = self.kernel.simd();
        let lanes = <S::Simd as Simd>::F32_LANES;
        let whole = self.rows.len() == height::<S>();
        let rows = |r: usize| (r * lanes).min(self.rows.len())..((r + 1) * lanes).min(self.rows.len());
        let mut sums = [[simd.splat_f32s(0.0); MR]; N];
        // Plain loops with ends known at compile time: sums in registers have no addresses.
        if !self.first {
            for (i, sums) in sums.iter_mut().enumerate() {
                if i < self.vectors.len() {
                    // SAFETY: passed on.
                    let y = unsafe { self.y.part(self.vectors.start + i, self.rows.clone()) };
                    for (r, sum) in sums.iter_mut().enumerate() {
                        *sum = if whole { S::Simd::as_simd_f32s(y).0[r] } else { simd.partial_load_f32s(&y[rows(r)]) };
                    }
                }
            }
        }
        let sums = self.kernel.add(self.w, self.x.as_chunks::<N>().0, sums, self.prefetcher);
        for (i, sums) in sums.iter().enumerate() {
            if i < self.vectors.len() {
                // SAFETY: passed on.
                let y = unsafe { self.y.part(self.vectors.start + i, self.rows.clone()) };
                for (r, sum) in sums.iter().enumerate() {
                    if whole {
                        S::Simd::as_mut_simd_f32s(y).0[r] = *sum;
                    } else {
                        simd.partial_store_f32s(&mut y[rows(r)], *sum);
                    }
                }
            }
        }
    }
}

/// Products `[n, rows]`, of which every thread writes a part.
pub(super) struct Output<'a> {
    y: *mut f32,
    n: usize,
    rows: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: as for `&mut [f32]`; numbers are reached only by `part`, whose caller keeps each part to one thread.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(y: &'a mut [f32], n: usize, rows: usize) -> Self {
        assert_eq!(y.len(), n * rows, "y is [n, rows]");
        Self { y: y.as_mut_ptr(), n, rows, lifetime: PhantomData }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// # Safety
    /// No other reference to any of these may exist.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller keeps parts apart")]
    unsafe fn part(&self, vector: usize, rows: Range<usize>) -> &mut [f32] {
        assert!(vector < self.n && rows.start <= rows.end && rows.end <= self.rows);
        // SAFETY: within the slice that this was made of.
        unsafe { std::slice::from_raw_parts_mut(self.y.add(vector * self.rows + rows.start), rows.len()) }
    }
}
