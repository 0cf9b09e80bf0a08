//! More vectors than a tile has: strips are unpacked once, and two of them multiplied at a time.

use std::{arch::x86_64::__m512i, cell::RefCell, ops::Range};

use bytemuck::{Zeroable, cast_slice};
use pulp::{Simd, cast, f32x16};

use super::{Group, Packed, Rows, TILE, UNITS, ZERO, add_group, with_format, zero};
use crate::{
    gemv::{activations, tiles::Tile},
    isa::Vnni,
    prefetch::Prefetcher,
    quant::{
        self, GROUP_SIZE, groups,
        panels::{Line, PanelFormat, SPAN, Span},
    },
};

/// Strips that are multiplied at a time.
const STRIPS: usize = 2;

/// Bytes of vectors that pass by some strips: they stay in an L2 cache ...
const VECTOR_BYTES: usize = 640 << 10;

/// ... unless so few tiles were not worth unpacking strips for.
const LEAST_TILES: usize = 16;

thread_local! {
    // Reused: fresh memory is slow.
    static UNPACKED: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Lines of a group of both strips: its units, the scales of its parts and, with minima, the constants.
const fn group_lines(parts: usize, minima: bool) -> usize {
    STRIPS * (UNITS + parts * (1 + minima as usize))
}

/// A group that is unpacked.
struct Unpacked<'a, const PARTS: usize>(&'a [Line]);

impl<const PARTS: usize> Group<STRIPS> for Unpacked<'_, PARTS> {
    #[inline(always)]
    fn unit<const U: usize>(&self, _: Vnni, strip: usize) -> __m512i {
        cast(self.0[STRIPS * U + strip])
    }

    #[inline(always)]
    fn scales(&self, _: Vnni, strip: usize, part: usize) -> f32x16 {
        cast(self.0[STRIPS * (UNITS + part) + strip])
    }

    #[inline(always)]
    fn constants(&self, _: Vnni, strip: usize, part: usize) -> f32x16 {
        cast(self.0[STRIPS * (UNITS + PARTS + part) + strip])
    }
}

/// Calls `run`, which is not compiled for any instructions itself, with so many lines of any value.
pub fn with_buffer(lines: usize, run: impl FnOnce(&mut [Line])) {
    UNPACKED.with_borrow_mut(|buffer| {
        if buffer.len() < lines {
            buffer.resize(lines, Line::zeroed());
        }
        run(&mut buffer[..lines]);
    });
}

impl Rows<'_> {
    /// Lines that two strips take when they are unpacked.
    pub(super) fn unpacked_lines(&self) -> usize {
        let layout = self.matrix.format.layout();
        groups(self.matrix.columns()) * group_lines(GROUP_SIZE / layout.size(), layout.has_minima())
    }

    #[inline(always)]
    pub(super) fn by_many(&self, unpacked: &mut [Line]) {
        let layout = self.matrix.format.layout();
        let tile_bytes = TILE * groups(self.matrix.columns()).div_ceil(SPAN) * size_of::<activations::Span>();
        let together = (VECTOR_BYTES / tile_bytes).max(LEAST_TILES);
        let all = self.x.len().div_ceil(TILE);
        for first_tile in (0..all).step_by(together) {
            let some = first_tile..all.min(first_tile + together);
            for first in self.strips().step_by(STRIPS) {
                // Where one is left it is multiplied twice, and its products are written once.
                let two = [first, (first + 1).min(self.strips().end - 1)];
                let mut unpack = Unpack { rows: self, two, to: unpacked };
                with_format!(self.matrix.format, unpack.run);
                match (GROUP_SIZE / layout.size(), layout.has_minima()) {
                    (1, false) => self.many::<1, false>(first, unpacked, some.clone()),
                    (1, true) => self.many::<1, true>(first, unpacked, some.clone()),
                    (2, false) => self.many::<2, false>(first, unpacked, some.clone()),
                    (2, true) => self.many::<2, true>(first, unpacked, some.clone()),
                    _ => unreachable!("columns share factors by 32 or 16"),
                }
            }
        }
    }

    /// Two strips times the vectors of some tiles.
    #[inline(always)]
    fn many<const PARTS: usize, const MINIMA: bool>(&self, first: usize, unpacked: &[Line], some: Range<usize>) {
        let next = cast_slice(self.matrix.stored(first + STRIPS..first + 2 * STRIPS));
        let (parts, steps) = (some.len(), UNITS * groups(self.matrix.columns()));
        for (i, tile) in some.map(|tile| self.x.tile(tile)).enumerate() {
            let next = Prefetcher::new(next, i, parts, steps);
            match tile.width {
                1 => self.tile::<PARTS, MINIMA, 1>(first, unpacked, &tile, next),
                2 => self.tile::<PARTS, MINIMA, 2>(first, unpacked, &tile, next),
                4 => self.tile::<PARTS, MINIMA, 4>(first, unpacked, &tile, next),
                TILE => self.tile::<PARTS, MINIMA, TILE>(first, unpacked, &tile, next),
                _ => unreachable!("no tile has another width"),
            }
        }
    }

    #[inline(always)]
    fn tile<const PARTS: usize, const MINIMA: bool, const N: usize>(
        &self,
        first: usize,
        unpacked: &[Line],
        tile: &Tile<'_>,
        mut next: Prefetcher<'_>,
    ) {
        let isa = self.isa;
        let mut sums = [[isa.simd().splat_f32s(0.0); STRIPS]; N];
        let spans = unpacked.chunks(SPAN * const { group_lines(PARTS, MINIMA) });
        for (groups, x) in spans.zip(tile.spans.as_chunks::<N>().0) {
            for (at, lines) in groups.chunks_exact(const { group_lines(PARTS, MINIMA) }).enumerate() {
                for _ in 0..UNITS {
                    next.step();
                }
                add_group::<_, PARTS, MINIMA, STRIPS, N>(
                    isa,
                    &Unpacked::<PARTS>(lines),
                    at,
                    i32::from(ZERO),
                    x,
                    &mut sums,
                );
            }
        }
        self.write(first, tile.first, sums);
    }
}

/// Two strips on their way to where they are multiplied.
struct Unpack<'a, 'b> {
    rows: &'a Rows<'b>,
    two: [usize; STRIPS],
    to: &'a mut [Line],
}

impl Unpack<'_, '_> {
    #[inline(always)]
    fn run<const FORMAT: u8>(&mut self) {
        let (isa, layout, parts) = (self.rows.isa, Packed::<FORMAT>::LAYOUT, Packed::<FORMAT>::PARTS);
        for (i, strip) in self.two.into_iter().enumerate() {
            let mut groups = self.to.chunks_exact_mut(group_lines(parts, layout.has_minima()));
            let of_row = quant::groups(self.rows.matrix.columns());
            for (at, lines) in self.rows.matrix.strip(layout, strip).chunks(layout.span_lines(SPAN)).enumerate() {
                let span = Span::new(lines, at, of_row);
                for (at, to) in (0..span.groups).zip(&mut groups) {
                    let group = Packed::<FORMAT>::new(isa, span, at);
                    to[i] = cast(unpacked::<FORMAT, 0>(isa, &group));
                    to[STRIPS + i] = cast(unpacked::<FORMAT, 1>(isa, &group));
                    to[STRIPS * 2 + i] = cast(unpacked::<FORMAT, 2>(isa, &group));
                    to[STRIPS * 3 + i] = cast(unpacked::<FORMAT, 3>(isa, &group));
                    to[STRIPS * 4 + i] = cast(unpacked::<FORMAT, 4>(isa, &group));
                    to[STRIPS * 5 + i] = cast(unpacked::<FORMAT, 5>(isa, &group));
                    to[STRIPS * 6 + i] = cast(unpacked::<FORMAT, 6>(isa, &group));
                    to[STRIPS * 7 + i] = cast(unpacked::<FORMAT, 7>(isa, &group));
                    for part in 0..parts {
                        to[STRIPS * (UNITS + part) + i] = cast(group.scales(isa, 0, part));
                        if layout.has_minima() {
                            to[STRIPS * (UNITS + parts + part) + i] = cast(group.constants(isa, 0, part));
                        }
                    }
                }
            }
        }
    }
}

/// A unit whose zero point is [`ZERO`], or one of a format with minima as it is.
#[inline(always)]
fn unpacked<const FORMAT: u8, const U: usize>(isa: Vnni, group: &Packed<'_, FORMAT>) -> __m512i {
    let unit = group.unit::<U>(isa, 0);
    match zero(Packed::<FORMAT>::LAYOUT) {
        // No byte carries: quants are less than twice their zero point.
        zero if zero > 0 && zero < 128 => isa.simd().avx512f._mm512_add_epi32(unit, cast([ZERO - zero as u8; 64])),
        _ => unit,
    }
}
