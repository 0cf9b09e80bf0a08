//! More vectors than a tile has: two strips at a time are unpacked, and multiplied with all vectors some spans at a time, so
//! that what is unpacked stays in the nearest cache. Sums that wait for the next spans lie in memory.

use std::{arch::x86_64::__m512i, cell::RefCell, ops::Range, ptr, slice::Chunks};

use bytemuck::{Zeroable, cast_slice_mut};
use pulp::{Simd, cast, f32x16};

use super::{Group, Packed, Rows, TILE, UNITS, ZERO, add_group, with_format, zero};
use crate::{
    gemv::{activations, tiles::Tile},
    isa::Vnni,
    prefetch::prefetch,
    quant::{
        GROUP_SIZE, groups,
        panels::{Line, PanelFormat, SPAN},
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
    static BUFFER: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Lines of a group of both strips: its units, the scales of its parts and, with minima, the constants.
const fn group_lines(parts: usize, minima: bool) -> usize {
    STRIPS * (UNITS + parts * (1 + minima as usize))
}

/// Spans that are multiplied at a time: what is unpacked of them stays in an L1 cache ...
const SPANS: usize = 2;

/// ... unless all of a row are hardly more.
const MOST_SPANS: usize = 3;

/// Lines of so much of both strips, in the format that takes most.
const UNPACKED: usize = MOST_SPANS * SPAN * group_lines(2, true);

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
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < lines {
            buffer.resize(lines, Line::zeroed());
        }
        run(&mut buffer[..lines]);
    });
}

impl Rows<'_> {
    /// Tiles that pass by two strips.
    #[inline(always)]
    fn together(&self) -> usize {
        let tile_bytes = TILE * groups(self.matrix.columns()).div_ceil(SPAN) * size_of::<activations::Span>();
        (VECTOR_BYTES / tile_bytes).max(LEAST_TILES).min(self.x.len().div_ceil(TILE))
    }

    /// Lines of a span of two strips, and of the sums of all tiles that pass by.
    pub(super) fn buffer_lines(&self) -> usize {
        UNPACKED + self.together() * STRIPS * TILE
    }

    #[inline(always)]
    pub(super) fn by_many(&self, buffer: &mut [Line]) {
        let (layout, spans) = (self.matrix.format.layout(), groups(self.matrix.columns()).div_ceil(SPAN));
        let (unpacked, sums) = buffer.split_at_mut(UNPACKED);
        let sums: &mut [Sums] = cast_slice_mut(sums);
        let of_block = if spans > MOST_SPANS { SPANS } else { MOST_SPANS };
        let all = self.x.len().div_ceil(TILE);
        for first_tile in (0..all).step_by(sums.len()) {
            let tiles = first_tile..all.min(first_tile + sums.len());
            for first in self.strips().step_by(STRIPS) {
                let next = self.matrix.stored(first + STRIPS..first + 2 * STRIPS);
                let with_each_group = next.len().div_ceil(tiles.len() * groups(self.matrix.columns()));
                let mut next = next.chunks(with_each_group.max(1));
                for span in (0..spans).step_by(of_block) {
                    let block = span..spans.min(span + of_block);
                    // Where one strip is left it is multiplied twice, and its products are written once.
                    let two = [first, (first + 1).min(self.strips().end - 1)];
                    let mut unpack = Unpack { rows: self, two, block: block.clone(), to: unpacked };
                    with_format!(self.matrix.format, unpack.run);
                    let many = Many { rows: self, first, block, spans };
                    match (GROUP_SIZE / layout.size(), layout.has_minima()) {
                        (1, false) => many.multiply::<1, false>(unpacked, tiles.clone(), sums, &mut next),
                        (1, true) => many.multiply::<1, true>(unpacked, tiles.clone(), sums, &mut next),
                        (2, false) => many.multiply::<2, false>(unpacked, tiles.clone(), sums, &mut next),
                        (2, true) => many.multiply::<2, true>(unpacked, tiles.clone(), sums, &mut next),
                        _ => unreachable!("columns share factors by 32 or 16"),
                    }
                }
            }
        }
    }
}

/// The sums of a tile.
type Sums = [[Line; STRIPS]; TILE];

/// Some spans of two strips.
struct Many<'a, 'b> {
    rows: &'a Rows<'b>,
    /// The first strip.
    first: usize,
    block: Range<usize>,
    /// Those of a row.
    spans: usize,
}

impl Many<'_, '_> {
    /// Adds the products with some tiles to their sums.
    #[inline(always)]
    fn multiply<const PARTS: usize, const MINIMA: bool>(
        &self,
        unpacked: &[Line],
        tiles: Range<usize>,
        sums: &mut [Sums],
        next: &mut Chunks<'_, Line>,
    ) {
        for (tile, sums) in tiles.zip(sums) {
            let tile = self.rows.x.tile(tile);
            match tile.width {
                1 => self.tile::<PARTS, MINIMA, 1>(unpacked, &tile, sums, next),
                2 => self.tile::<PARTS, MINIMA, 2>(unpacked, &tile, sums, next),
                4 => self.tile::<PARTS, MINIMA, 4>(unpacked, &tile, sums, next),
                TILE => self.tile::<PARTS, MINIMA, TILE>(unpacked, &tile, sums, next),
                _ => unreachable!("no tile has another width"),
            }
        }
    }

    #[inline(always)]
    fn tile<const PARTS: usize, const MINIMA: bool, const N: usize>(
        &self,
        unpacked: &[Line],
        tile: &Tile<'_>,
        kept: &mut Sums,
        next: &mut Chunks<'_, Line>,
    ) {
        let isa = self.rows.isa;
        let mut sums = [[isa.simd().splat_f32s(0.0); STRIPS]; N];
        if self.block.start > 0 {
            for (sums, kept) in sums.iter_mut().zip(&*kept) {
                *sums = kept.map(cast);
            }
        }
        let of_span = const { SPAN * group_lines(PARTS, MINIMA) };
        for (span, lines) in self.block.clone().zip(unpacked.chunks_exact(of_span)) {
            let x = &tile.spans.as_chunks::<N>().0[span];
            let groups = SPAN.min(groups(self.rows.matrix.columns()) - span * SPAN);
            for (at, lines) in (0..groups).zip(lines.chunks_exact(const { group_lines(PARTS, MINIMA) })) {
                for line in next.next().unwrap_or_default() {
                    prefetch(line);
                }
                // A line of each vector of the next tile.
                for x in x {
                    prefetch(ptr::from_ref(x).wrapping_add(N * self.spans).cast::<Line>().wrapping_add(at));
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
        if self.block.end == self.spans {
            return self.rows.write(self.first, tile.first, sums);
        }
        for (kept, sums) in kept.iter_mut().zip(sums) {
            *kept = sums.map(cast);
        }
    }
}

/// Some spans of two strips on their way to where they are multiplied.
struct Unpack<'a, 'b> {
    rows: &'a Rows<'b>,
    two: [usize; STRIPS],
    block: Range<usize>,
    to: &'a mut [Line],
}

impl Unpack<'_, '_> {
    #[inline(always)]
    fn run<const FORMAT: u8>(&mut self) {
        let (isa, layout, parts) = (self.rows.isa, Packed::<FORMAT>::LAYOUT, Packed::<FORMAT>::PARTS);
        let of_group = group_lines(parts, layout.has_minima());
        for (i, strip) in self.two.into_iter().enumerate() {
            for (span, to) in self.block.clone().zip(self.to.chunks_exact_mut(SPAN * of_group)) {
                let span = self.rows.matrix.span(layout, strip, span);
                for (at, to) in (0..span.groups).zip(to.chunks_exact_mut(of_group)) {
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
