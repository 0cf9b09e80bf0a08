//! Products with quantized weights in strips of sixteen rows ([`Panels`]), by AVX-512 with VNNI: for one vector and for
//! thousands, in the same order, so that a vector's products have the bits that they have alone.
//!
//! The product of a group of columns is an exact integer in the lane of its row, and a row's product is one chain of
//! multiply-adds over its groups. Nothing is summed across lanes.

use std::{arch::x86_64::__m512i, ops::Range};

use pulp::{Simd, cast, f32x16};

use super::{
    MatVec,
    activations::{Activations, Order},
    bytes::SPAN,
    output::Output,
    tiles::{Span, Tile, Tiles},
};
use crate::{
    isa::{self, Isa, Vnni},
    prefetch::{Prefetcher, prefetch_lines},
    quant::{
        GROUP_SIZE, groups,
        panels::{LANES, Line, PanelFormat, Panels, Strip},
    },
};

/// Lines of a group once its quants have 8 bits: four columns in each.
const UNITS: usize = GROUP_SIZE / 4;

/// The zero point of quants in 8 bits.
const ZERO: u8 = 128;

/// Vectors that are multiplied with two strips at a time: of 32 registers 12 hold sums, and 12 those of a group.
const TILE: usize = 6;

impl MatVec<f32> for &Panels {
    type Input<'x> = Tiles;

    fn rows(&self) -> usize {
        Panels::rows(self)
    }

    fn columns(&self) -> usize {
        Panels::columns(self)
    }

    fn row_bytes(&self) -> usize {
        self.strip_bytes() / LANES
    }

    fn tile_rows(n: usize) -> usize {
        if n <= TILE { LANES } else { 2 * LANES }
    }

    fn input(_: Isa, x: &[f32], columns: usize, order: Order) -> Tiles {
        Tiles::new(&Activations::new(x, columns, order), TILE)
    }

    fn multiply(&self, isa: Isa, rows: Range<usize>, x: &Tiles, y: &Output<'_>) {
        let Some(isa) = isa.vnni() else { unreachable!("matrices are laid in strips where VNNI is") };
        isa.vectorize(
            #[inline(always)]
            || {
                let rows = Rows { isa, matrix: self, rows, x, y };
                match self.format {
                    PanelFormat::Eight => rows.multiply::<Eight>(),
                    PanelFormat::Four => rows.multiply::<Four>(),
                }
            },
        );
    }
}

/// How the quants of a strip become bytes with a zero point of [`ZERO`].
trait Format {
    const FORMAT: PanelFormat;

    /// What is added to each byte of a group.
    fn shift(isa: Vnni, span: &Strip<'_>, group: usize) -> __m512i;

    /// Four columns of every row.
    fn unit(isa: Vnni, lines: &[Line], unit: usize, shift: __m512i) -> __m512i;
}

struct Eight;

impl Format for Eight {
    const FORMAT: PanelFormat = PanelFormat::Eight;

    #[inline(always)]
    fn shift(_: Vnni, _: &Strip<'_>, _: usize) -> __m512i {
        cast([0_u8; 64])
    }

    #[inline(always)]
    fn unit(_: Vnni, lines: &[Line], unit: usize, _: __m512i) -> __m512i {
        cast(lines[unit])
    }
}

struct Four;

impl Format for Four {
    const FORMAT: PanelFormat = PanelFormat::Four;

    #[inline(always)]
    fn shift(isa: Vnni, span: &Strip<'_>, group: usize) -> __m512i {
        let f = isa.simd().avx512f;
        let bytes: u64 = cast(span.zero_points(group));
        // The first eight rows have the lower halves.
        let both = [bytes & 0x0f0f_0f0f_0f0f_0f0f, bytes >> 4 & 0x0f0f_0f0f_0f0f_0f0f];
        let zeros = f._mm512_cvtepu8_epi32(cast(both));
        // No byte carries: zero points are at most 15.
        let repeated = f._mm512_mullo_epi32(zeros, cast([0x0101_0101_u32; 16]));
        f._mm512_sub_epi32(cast([ZERO; 64]), repeated)
    }

    #[inline(always)]
    fn unit(isa: Vnni, lines: &[Line], unit: usize, shift: __m512i) -> __m512i {
        let f = isa.simd().avx512f;
        let bytes: __m512i = cast(lines[unit / 2]);
        let bytes = if unit.is_multiple_of(2) { bytes } else { f._mm512_srli_epi32::<4>(bytes) };
        // No byte carries here either.
        f._mm512_add_epi32(f._mm512_and_si512(bytes, cast([0xf_u8; 64])), shift)
    }
}

/// Some rows of a matrix, from the first of a strip on, and all vectors.
struct Rows<'a> {
    isa: Vnni,
    matrix: &'a Panels,
    rows: Range<usize>,
    x: &'a Tiles,
    y: &'a Output<'a>,
}

impl Rows<'_> {
    /// A strip at a time is one stream of memory. With more vectors than a tile has, arithmetic is what takes the time: two
    /// strips have each number of a vector for two products, and the next two are read meanwhile.
    #[inline(always)]
    fn multiply<F: Format>(&self) {
        let strips = self.rows.start / LANES..self.rows.end.div_ceil(LANES);
        let many = self.x.len() > TILE;
        let mut at = strips.start;
        while at < strips.end {
            let strip = |strip| self.matrix.strip(F::FORMAT, strip);
            if many && at + 1 < strips.end {
                self.tiles::<F, 2>(at, [strip(at), strip(at + 1)]);
                at += 2;
            } else {
                self.tiles::<F, 1>(at, [strip(at)]);
                at += 1;
            }
        }
    }

    /// Some strips, of which this is the first, times all vectors.
    #[inline(always)]
    fn tiles<F: Format, const STRIPS: usize>(&self, first: usize, strips: [Strip<'_>; STRIPS]) {
        // One tile reads weights that the processor is told of some way ahead; of many, each asks for a part of the next strips.
        let ahead = if self.x.len() > TILE { None } else { isa::ahead() };
        let next = first + STRIPS..(first + 2 * STRIPS).min(self.rows.end.div_ceil(LANES));
        let next = if self.x.len() > TILE { self.matrix.stored(next) } else { &[] };
        let (parts, steps) = (self.x.len().div_ceil(TILE), UNITS * groups(self.matrix.columns));
        for (i, tile) in self.x.iter().enumerate() {
            let next = Prefetcher::new(next, i, parts, steps);
            match tile.width {
                1 => self.tile::<F, STRIPS, 1>(first, &strips, &tile, ahead, next),
                2 => self.tile::<F, STRIPS, 2>(first, &strips, &tile, ahead, next),
                4 => self.tile::<F, STRIPS, 4>(first, &strips, &tile, ahead, next),
                TILE => self.tile::<F, STRIPS, TILE>(first, &strips, &tile, ahead, next),
                _ => unreachable!("no tile has another width"),
            }
        }
    }

    #[inline(always)]
    fn tile<F: Format, const STRIPS: usize, const N: usize>(
        &self,
        first: usize,
        strips: &[Strip<'_>; STRIPS],
        tile: &Tile<'_>,
        ahead: Option<usize>,
        next: Prefetcher<'_>,
    ) {
        let (groups, spans) = (groups(self.matrix.columns), tile.spans.as_chunks().0);
        let sums = products::<F, STRIPS, N>(self.isa, strips, groups, spans, ahead, next);
        for (vector, sums) in (tile.first..self.x.len()).zip(sums) {
            for (strip, sum) in sums.into_iter().enumerate() {
                let row = (first + strip) * LANES;
                let products: [f32; LANES] = cast(sum);
                self.y.write(vector, row, &products[..(self.rows.end - row).min(LANES)]);
            }
        }
    }
}

/// The products of some strips with the vectors of a tile.
#[inline(always)]
fn products<F: Format, const STRIPS: usize, const N: usize>(
    isa: Vnni,
    strips: &[Strip<'_>; STRIPS],
    groups: usize,
    x: &[[Span; N]],
    ahead: Option<usize>,
    mut next: Prefetcher<'_>,
) -> [[f32x16; STRIPS]; N] {
    let simd = isa.simd();
    let mut sums = [[simd.splat_f32s(0.0); STRIPS]; N];
    for (at, x) in x.iter().enumerate().take(groups.div_ceil(SPAN)) {
        let mut spans = *strips;
        for span in &mut spans {
            *span = span.span(at);
            if let Some(ahead) = ahead {
                prefetch_lines(span.bytes(), ahead);
            }
        }
        for group in 0..SPAN.min(groups - at * SPAN) {
            let mut lines: [&[Line]; STRIPS] = [&[]; STRIPS];
            let mut shifts = [cast([0_u8; 64]); STRIPS];
            let mut scales = [simd.splat_f32s(0.0); STRIPS];
            for (i, span) in spans.iter().enumerate() {
                lines[i] = span.quants(group);
                shifts[i] = F::shift(isa, span, group);
                scales[i] = cast(simd.avx512f._mm512_cvtph_ps(cast(*span.scales(group))));
            }
            let mut dots: [[__m512i; STRIPS]; N] = [[cast([0_u8; 64]); STRIPS]; N];
            for (dots, x) in dots.iter_mut().zip(x) {
                *dots = [cast(simd.splat_i32s(x.offsets[group])); STRIPS];
            }
            for unit in 0..UNITS {
                if STRIPS > 1 {
                    next.step();
                }
                let mut quants: [__m512i; STRIPS] = [cast([0_u8; 64]); STRIPS];
                for (i, quants) in quants.iter_mut().enumerate() {
                    *quants = F::unit(isa, lines[i], unit, shifts[i]);
                }
                for (dots, x) in dots.iter_mut().zip(x) {
                    let four: i32 = cast(x.quants.as_chunks::<4>().0[UNITS * group + unit]);
                    let four = cast(simd.splat_i32s(four));
                    for (dot, quants) in dots.iter_mut().zip(quants) {
                        *dot = isa.dot(*dot, quants, four);
                    }
                }
            }
            for ((sums, dots), x) in sums.iter_mut().zip(dots).zip(x) {
                let x = simd.splat_f32s(x.scales[group]);
                for ((sum, dot), scale) in sums.iter_mut().zip(dots).zip(scales) {
                    let dot = cast(simd.avx512f._mm512_cvtepi32_ps(dot));
                    *sum = simd.mul_add_e_f32s(dot, simd.mul_f32s(scale, x), *sum);
                }
            }
        }
    }
    sums
}
