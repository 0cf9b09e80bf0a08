//! Tiles of outputs, summed up in registers.

use std::{marker::PhantomData, ops::Range};

use pulp::Simd;

use super::{Scheme, VECTORS, Vector, ahead::Ahead, aligned, height, passing::Passing, ranges};

/// The products of some rows of a weight, no more than a tile's, and some of the vectors `x`, whole groups of them, into `y`.
///
/// `buffer` is where the rows are packed.
///
/// # Safety
/// Nobody else may hold the outputs of these rows and vectors.
#[inline(always)]
pub(super) unsafe fn panel<S: Scheme>(
    scheme: &S,
    x: &Passing<'_, S>,
    weight: &S::Weight,
    rows: Range<usize>,
    vectors: Range<usize>,
    y: &Output<'_>,
    buffer: &mut Vec<f32>,
) {
    for steps in ranges(0..scheme.steps(), x.block()) {
        let packed = aligned(buffer, height::<S>() * steps.len() * S::ROW_UNITS);
        scheme.pack_rows(weight, rows.clone(), steps.clone(), packed);
        let (w, _) = S::Simd::as_simd_f32s(packed);
        let (w, _) = w.as_chunks::<VECTORS>();
        // What this thread most likely packs next is read while tiles keep it busy.
        let next = match steps.end == scheme.steps() {
            true => rows.end..y.rows().min(rows.end + height::<S>()),
            false => 0..0,
        };
        let next = scheme.stored(weight, next);
        let groups = vectors.len().div_ceil(S::TOGETHER);
        let turns = steps.len() * S::ROW_UNITS;
        for (i, vectors) in ranges(vectors.clone(), S::TOGETHER).enumerate() {
            let x = x.group(&vectors, &steps);
            let width = Passing::<S>::width(&vectors);
            let tile = Tile {
                scheme,
                w,
                x,
                y,
                rows: rows.clone(),
                vectors,
                first: steps.start == 0,
                ahead: Ahead::new(next, i, groups, turns),
            };
            // SAFETY: passed on.
            unsafe {
                match width {
                    12 => tile.run::<12>(),
                    8 => tile.run::<8>(),
                    6 => tile.run::<6>(),
                    4 => tile.run::<4>(),
                    2 => tile.run::<2>(),
                    _ => unreachable!("{} is 6 or 12", S::TOGETHER),
                }
            }
        }
    }
}

/// What the registers hold at a time.
struct Tile<'a, S: Scheme> {
    scheme: &'a S,
    w: &'a [[Vector<S>; VECTORS]],
    x: &'a [f32],
    y: &'a Output<'a>,
    rows: Range<usize>,
    vectors: Range<usize>,
    /// Whether these are the first columns, with no sums to be continued.
    first: bool,
    ahead: Ahead<'a>,
}

impl<S: Scheme> Tile<'_, S> {
    /// # Safety
    /// Nobody else may hold its outputs.
    #[inline(always)]
    unsafe fn run<const N: usize>(self) {
        let simd = self.scheme.simd();
        let lanes = <S::Simd as Simd>::F32_LANES;
        let whole = self.rows.len() == height::<S>();
        let rows =
            |r: usize| (r * lanes).min(self.rows.len())..((r + 1) * lanes).min(self.rows.len());
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; N];
        // Plain loops without an end that is only known later: sums in registers have no addresses.
        if !self.first {
            for (i, sums) in sums.iter_mut().enumerate() {
                if i < self.vectors.len() {
                    // SAFETY: passed on.
                    let y = unsafe { self.y.part(self.vectors.start + i, self.rows.clone()) };
                    for (r, sum) in sums.iter_mut().enumerate() {
                        *sum = match whole {
                            true => S::Simd::as_simd_f32s(y).0[r],
                            false => simd.partial_load_f32s(&y[rows(r)]),
                        };
                    }
                }
            }
        }
        let sums = self
            .scheme
            .add(self.w, self.x.as_chunks::<N>().0, sums, self.ahead);
        for (i, sums) in sums.iter().enumerate() {
            if i < self.vectors.len() {
                // SAFETY: passed on.
                let y = unsafe { self.y.part(self.vectors.start + i, self.rows.clone()) };
                for (r, sum) in sums.iter().enumerate() {
                    match whole {
                        true => S::Simd::as_mut_simd_f32s(y).0[r] = *sum,
                        false => simd.partial_store_f32s(&mut y[rows(r)], *sum),
                    }
                }
            }
        }
    }
}

/// Products `[n, rows]` of which every thread writes a part.
pub(super) struct Output<'a> {
    y: *mut f32,
    n: usize,
    rows: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: as for `&mut [f32]`; numbers are reached only by `part`, whose caller keeps parts to one thread each.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(y: &'a mut [f32], n: usize, rows: usize) -> Self {
        assert_eq!(y.len(), n * rows, "y is [n, rows]");
        Self {
            y: y.as_mut_ptr(),
            n,
            rows,
            lifetime: PhantomData,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// # Safety
    /// Nobody else may hold any of these.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "the caller keeps parts apart")]
    unsafe fn part(&self, vector: usize, rows: Range<usize>) -> &mut [f32] {
        assert!(vector < self.n && rows.start <= rows.end && rows.end <= self.rows);
        // SAFETY: within the slice that this was made of.
        unsafe {
            std::slice::from_raw_parts_mut(self.y.add(vector * self.rows + rows.start), rows.len())
        }
    }
}
