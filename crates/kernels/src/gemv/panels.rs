//! Products with quantized weights in strips of sixteen rows ([`Panels`]), by AVX-512 with VNNI: for one vector and for
//! thousands, in the same order, so that a vector's products have the bits that they have alone.
//!
//! The product of the columns that share factors is an exact integer in the lane of its row, and a row's product one chain of
//! multiply-adds over them. Nothing is summed across lanes.
//!
//! A few vectors are multiplied with a strip while it comes from memory, one stream for each thread ([`thin`]). With more,
//! arithmetic takes the time: strips are unpacked once for all, two at a time, so that what is read of a vector has two
//! products, and the next two strips are read meanwhile ([`thick`]).

use std::{arch::x86_64::__m512i, ops::Range};

use pulp::{Simd, cast, f32x16};

use super::{
    MatVec,
    activations::{self, Order},
    output::Output,
    tiles::Tiles,
};
use crate::{
    isa::{Isa, Vnni},
    quant::{
        GROUP_SIZE,
        panels::{Factors, LANES, Layout, PanelFormat, Panels, Span, Zero},
    },
};

mod thick;
mod thin;

/// Vectors of a tile: of 32 registers 12 hold the sums of two strips, and 12 those of a group.
const TILE: usize = 6;

/// Units of a group: four columns each.
const UNITS: usize = GROUP_SIZE / 4;

/// The zero point of quants that are unpacked.
const ZERO: u8 = 128;

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

    fn pieces(n: usize) -> Option<usize> {
        (n > TILE).then_some(3)
    }

    fn input(_: Isa, x: &[f32], columns: usize, order: Order) -> Tiles {
        Tiles::new(x, columns, order, TILE)
    }

    fn multiply(&self, isa: Isa, rows: Range<usize>, x: &Tiles, y: &Output<'_>) {
        let Some(isa) = isa.vnni() else { unreachable!("matrices are laid in strips where VNNI is") };
        let rows = Rows { isa, matrix: self, rows, x, y };
        if x.len() <= TILE {
            isa.vectorize(
                #[inline(always)]
                || rows.by_few(),
            );
        } else {
            thick::with_buffer(rows.buffer_lines(), |buffer| {
                isa.vectorize(
                    #[inline(always)]
                    || rows.by_many(buffer),
                );
            });
        }
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
    fn strips(&self) -> Range<usize> {
        self.rows.start / LANES..self.rows.end.div_ceil(LANES)
    }

    /// Writes the products of strips from `first` on with vectors from `vector` on, of those that there are.
    #[inline(always)]
    fn write<const STRIPS: usize, const N: usize>(&self, first: usize, vector: usize, sums: [[f32x16; STRIPS]; N]) {
        for (vector, sums) in (vector..self.x.len()).zip(sums) {
            for (strip, sum) in (first..self.strips().end).zip(sums) {
                let row = strip * LANES;
                let products: [f32; LANES] = cast(sum);
                match self.rows.end - row {
                    LANES.. => self.y.write_all(vector, row, products),
                    rest => self.y.write(vector, row, &products[..rest]),
                }
            }
        }
    }
}

/// A group of columns of some strips.
trait Group<const STRIPS: usize> {
    /// Four columns of every row, as unsigned bytes.
    fn unit<const U: usize>(&self, isa: Vnni, strip: usize) -> __m512i;

    /// What integers are multiplied with, of all columns or of either half.
    fn scales(&self, isa: Vnni, strip: usize, part: usize) -> f32x16;

    /// What is added to a column then.
    fn constants(&self, isa: Vnni, strip: usize, part: usize) -> f32x16;
}

/// Adds the products of group `at` of a span with some vectors. It has `PARTS` parts with factors of their own, and constants
/// with `MINIMA`; else its bytes are too large by `zero`.
#[inline(always)]
fn add_group<G: Group<STRIPS>, const PARTS: usize, const MINIMA: bool, const STRIPS: usize, const N: usize>(
    isa: Vnni,
    group: &G,
    at: usize,
    zero: i32,
    x: &[activations::Span; N],
    sums: &mut [[f32x16; STRIPS]; N],
) {
    let simd = isa.simd();
    for part in 0..PARTS {
        let mut dots: [[__m512i; STRIPS]; N] = [[cast([0_u8; 64]); STRIPS]; N];
        if !MINIMA {
            for (dots, x) in dots.iter_mut().zip(x) {
                let offset = if PARTS == 1 { x.offsets[at] } else { x.half_offsets[PARTS * at + part] };
                let offset = if zero == 128 { offset } else { (offset >> 7) * zero };
                *dots = [cast(simd.splat_i32s(offset)); STRIPS];
            }
        }
        if part == 0 {
            add_unit::<G, 0, STRIPS, N>(isa, group, at, x, &mut dots);
            add_unit::<G, 1, STRIPS, N>(isa, group, at, x, &mut dots);
            add_unit::<G, 2, STRIPS, N>(isa, group, at, x, &mut dots);
            add_unit::<G, 3, STRIPS, N>(isa, group, at, x, &mut dots);
        }
        if part == PARTS - 1 {
            add_unit::<G, 4, STRIPS, N>(isa, group, at, x, &mut dots);
            add_unit::<G, 5, STRIPS, N>(isa, group, at, x, &mut dots);
            add_unit::<G, 6, STRIPS, N>(isa, group, at, x, &mut dots);
            add_unit::<G, 7, STRIPS, N>(isa, group, at, x, &mut dots);
        }
        let (mut scales, mut constants) = ([simd.splat_f32s(0.0); STRIPS], [simd.splat_f32s(0.0); STRIPS]);
        for (strip, (scales, constants)) in scales.iter_mut().zip(&mut constants).enumerate() {
            *scales = group.scales(isa, strip, part);
            if MINIMA {
                *constants = group.constants(isa, strip, part);
            }
        }
        for ((sums, dots), x) in sums.iter_mut().zip(dots).zip(x) {
            let scale = simd.splat_f32s(x.scales[at]);
            let sum_of_x = simd.splat_f32s(if PARTS == 1 { x.sums[at] } else { x.half_sums[PARTS * at + part] });
            for ((sum, dot), (scales, constants)) in sums.iter_mut().zip(dots).zip(scales.into_iter().zip(constants)) {
                let dot = cast(simd.avx512f._mm512_cvtepi32_ps(dot));
                *sum = simd.mul_add_e_f32s(dot, simd.mul_f32s(scales, scale), *sum);
                if MINIMA {
                    *sum = simd.mul_add_e_f32s(constants, sum_of_x, *sum);
                }
            }
        }
    }
}

/// Adds the products of unit `U`, each of which is compiled with its own shifts.
#[inline(always)]
fn add_unit<G: Group<STRIPS>, const U: usize, const STRIPS: usize, const N: usize>(
    isa: Vnni,
    group: &G,
    at: usize,
    x: &[activations::Span; N],
    dots: &mut [[__m512i; STRIPS]; N],
) {
    let mut quants: [__m512i; STRIPS] = [cast([0_u8; 64]); STRIPS];
    for (strip, quants) in quants.iter_mut().enumerate() {
        *quants = group.unit::<U>(isa, strip);
    }
    for (dots, x) in dots.iter_mut().zip(x) {
        let four: i32 = cast(x.quants.as_chunks::<4>().0[UNITS * at + U]);
        let four = cast(isa.simd().splat_i32s(four));
        for (dot, quants) in dots.iter_mut().zip(quants) {
            *dot = isa.dot(*dot, quants, four);
        }
    }
}

/// By how much the bytes of a format without minima are too large.
const fn zero(layout: Layout) -> i32 {
    match layout.zero {
        Zero::All(zero) => zero as i32,
        Zero::OfGroup | Zero::Table(_) => ZERO as i32,
    }
}

/// A group as it lies in memory, in the format of this number.
#[derive(Clone, Copy)]
struct Packed<'a, const FORMAT: u8> {
    span: Span<'a>,
    group: usize,
    /// What is added to each byte.
    shift: __m512i,
}

impl<'a, const FORMAT: u8> Packed<'a, FORMAT> {
    const LAYOUT: Layout = PanelFormat::ALL[FORMAT as usize].layout();
    const PARTS: usize = GROUP_SIZE / Self::LAYOUT.size();

    #[inline(always)]
    fn new(isa: Vnni, span: Span<'a>, group: usize) -> Self {
        let f = isa.simd().avx512f;
        let mut shift = cast([0_u8; 64]);
        if let Zero::OfGroup = Self::LAYOUT.zero {
            let all: &[u64] = span.factors(Self::LAYOUT, Self::LAYOUT.zero_points_at(span.groups));
            // The first eight rows have the lower halves.
            let both = [all[group] & 0x0f0f_0f0f_0f0f_0f0f, all[group] >> 4 & 0x0f0f_0f0f_0f0f_0f0f];
            // No byte carries: zero points are at most 15.
            let zeros = f._mm512_mullo_epi32(f._mm512_cvtepu8_epi32(cast(both)), cast([0x0101_0101_u32; 16]));
            shift = f._mm512_sub_epi32(cast([ZERO; 64]), zeros);
        }
        Self { span, group, shift }
    }

    /// Four columns' bits of a plane, so many from bit `place` of a byte on; the lines of the planes below are as many.
    #[inline(always)]
    fn plane<const U: usize>(&self, isa: Vnni, bits: usize, place: usize) -> __m512i {
        let f = isa.simd().avx512f;
        let (line, shift) = Layout::place(bits, U);
        let stored: __m512i = cast(self.span.quants(Self::LAYOUT, self.group)[place + line]);
        if bits == 8 {
            return stored;
        }
        // A byte's bits stay in it.
        let moved = match (32 + shift - place) % 32 {
            0 => stored,
            right => f._mm512_rorv_epi32(stored, cast([right as u32; 16])),
        };
        f._mm512_and_si512(moved, cast([(0xff_u8 >> (8 - bits)) << place; 64]))
    }

    #[inline(always)]
    fn halves(&self, isa: Vnni, first_line: usize, at: usize) -> f32x16 {
        let all: &[u16] = self.span.factors(Self::LAYOUT, first_line);
        cast(isa.simd().avx512f._mm512_cvtph_ps(cast(all.as_chunks::<LANES>().0[at])))
    }

    #[inline(always)]
    fn bytes(&self, first_line: usize, at: usize) -> [u8; LANES] {
        let all: &[u8] = self.span.factors(Self::LAYOUT, first_line);
        all.as_chunks().0[at]
    }
}

impl<const FORMAT: u8> Group<1> for Packed<'_, FORMAT> {
    #[inline(always)]
    fn unit<const U: usize>(&self, isa: Vnni, _: usize) -> __m512i {
        let f = isa.simd().avx512f;
        let [low, high] = Self::LAYOUT.planes;
        let mut quants = self.plane::<U>(isa, low, 0);
        if high > 0 {
            quants = f._mm512_or_si512(quants, self.plane::<U>(isa, high, low));
        }
        match Self::LAYOUT.zero {
            Zero::All(_) => quants,
            // Nor does it carry here.
            Zero::OfGroup => f._mm512_add_epi32(quants, self.shift),
            Zero::Table(table) => {
                let table: __m512i = cast([*table; 4]);
                let table = f._mm512_xor_si512(table, cast([ZERO; 64]));
                isa.simd().avx512bw._mm512_shuffle_epi8(table, quants)
            }
        }
    }

    #[inline(always)]
    fn scales(&self, isa: Vnni, _: usize, part: usize) -> f32x16 {
        let (simd, f) = (isa.simd(), isa.simd().avx512f);
        let at = Self::PARTS * self.group + part;
        match Self::LAYOUT.factors {
            Factors::Halves { .. } => self.halves(isa, 0, at),
            Factors::Powers => {
                // The two least are no normal numbers.
                let exponents = f._mm512_cvtepu8_epi32(cast(self.bytes(0, at)));
                let normal = f._mm512_slli_epi32::<23>(f._mm512_sub_epi32(exponents, cast([1_u32; 16])));
                let least = f._mm512_sllv_epi32(cast([1_u32 << 21; 16]), exponents);
                let is_least = f._mm512_cmplt_epi32_mask(exponents, cast([2_u32; 16]));
                cast(f._mm512_mask_mov_epi32(normal, is_least, least))
            }
            Factors::OfBlock { .. } => {
                let factors = f._mm512_cvtepi32_ps(f._mm512_cvtepi8_epi32(cast(self.bytes(1, at))));
                simd.mul_f32s(cast(factors), self.halves(isa, 0, 0))
            }
        }
    }

    #[inline(always)]
    fn constants(&self, isa: Vnni, _: usize, part: usize) -> f32x16 {
        let (simd, f) = (isa.simd(), isa.simd().avx512f);
        let at = Self::PARTS * self.group + part;
        match Self::LAYOUT.factors {
            Factors::OfBlock { .. } => {
                let factors =
                    f._mm512_cvtepi32_ps(f._mm512_cvtepu8_epi32(cast(self.bytes(Self::LAYOUT.minima_at(), at))));
                simd.mul_f32s(cast(factors), simd.neg_f32s(self.halves(isa, 0, 1)))
            }
            _ => self.halves(isa, self.span.groups.div_ceil(2), at),
        }
    }
}

/// Calls a function that is compiled for each format, by its number.
macro_rules! with_format {
    ($format:expr, $rows:ident.$function:ident) => {
        with_format!(@ $format, $rows.$function;
            Int8 Int4 HalfMxfp4 Mxfp4 Q4_0 Q4_1 Q5_0 Q5_1 Q2K Q3K Q4K Q5K Q6K Iq4Nl Iq4Xs)
    };
    (@ $format:expr, $rows:ident.$function:ident; $($name:ident)*) => {
        match $format {
            $(PanelFormat::$name => $rows.$function::<{ PanelFormat::$name as u8 }>(),)*
        }
    };
}
use with_format;
