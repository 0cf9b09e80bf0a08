//! Thin products with the planar formats: quants, scales and zero points of a row each lie together.

use std::{array::from_fn, ops::Range};

use bytemuck::cast_slice;
use half::slice::HalfFloatSliceExt;

use super::{
    MatVec,
    activations::Order,
    bytes::{self, Bytes, SPAN},
    output::Output,
    quantized::{Format, Rows},
    tiles::Tiles,
};
use crate::{
    isa::Isa,
    quant::{E2M1, QuantFormat, QuantizedMatrix, Row, ZERO_POINTS_PER_WORD, groups},
};

impl MatVec<f32> for QuantizedMatrix<'_> {
    type Input<'x> = Tiles;

    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn row_bytes(&self) -> usize {
        self.row_bytes()
    }

    fn order(&self) -> Order {
        match self.format {
            QuantFormat::Int8 => Order::Plain,
            QuantFormat::Int4 | QuantFormat::Mxfp4 => Order::EvenOdd,
        }
    }

    fn input(isa: Isa, x: &[f32], columns: usize, order: Order) -> Tiles {
        Tiles::new(x, columns, order, bytes::tile(isa))
    }

    fn multiply(&self, isa: Isa, rows: Range<usize>, x: &Tiles, y: &Output<'_>) {
        let (matrix, groups) = (*self, groups(self.columns));
        match self.format {
            QuantFormat::Int8 => bytes::run(isa, Rows::<Int8> { matrix, rows, groups, x, y }),
            QuantFormat::Int4 => bytes::run(isa, Rows::<Int4> { matrix, rows, groups, x, y }),
            QuantFormat::Mxfp4 => bytes::run(isa, Rows::<Mxfp4> { matrix, rows, groups, x, y }),
        }
    }
}

struct Int8;

impl<'a> Format<'a> for Int8 {
    const SIZE: usize = 32;
    const SIGNED: bool = true;
    type Matrix = QuantizedMatrix<'a>;
    type Row = Row<'a>;

    #[inline(always)]
    fn row(matrix: QuantizedMatrix<'a>, row: usize) -> Row<'a> {
        matrix.row(row)
    }

    #[inline(always)]
    fn bytes(span: Row<'a>) -> [&'a [u8]; 2] {
        span.bytes()
    }

    #[inline(always)]
    fn spans(row: Row<'a>) -> impl Iterator<Item = Row<'a>> {
        row.spans(QuantFormat::Int8)
    }

    #[inline(always)]
    fn span(row: Row<'a>, span: usize, groups: usize) -> Row<'a> {
        row.span(span, groups, QuantFormat::Int8)
    }

    #[inline(always)]
    fn factors<B: Bytes>(b: B, span: Row<'a>) -> [B::Factors; 2] {
        let scales = b.halves(span.scales());
        [scales, scales]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, span: Row<'a>, first: usize) -> B::Quants {
        b.signed_from_offset(b.load(|i| span.group(first + i)))
    }
}

struct Int4;

impl<'a> Format<'a> for Int4 {
    const SIZE: usize = 32;
    const SIGNED: bool = false;
    type Matrix = QuantizedMatrix<'a>;
    type Row = Row<'a>;

    #[inline(always)]
    fn row(matrix: QuantizedMatrix<'a>, row: usize) -> Row<'a> {
        matrix.row(row)
    }

    #[inline(always)]
    fn bytes(span: Row<'a>) -> [&'a [u8]; 2] {
        span.bytes()
    }

    #[inline(always)]
    fn spans(row: Row<'a>) -> impl Iterator<Item = Row<'a>> {
        row.spans(QuantFormat::Int4)
            .zip(row.zero_points.chunks_exact(1))
            .map(|(span, zero_points)| Row { zero_points, ..span })
    }

    #[inline(always)]
    fn span(row: Row<'a>, span: usize, groups: usize) -> Row<'a> {
        row.span(span, groups, QuantFormat::Int4)
    }

    #[inline(always)]
    fn factors<B: Bytes>(b: B, span: Row<'a>) -> [B::Factors; 2] {
        let scales = b.halves(span.scales());
        let zeros = b.integers_of_4_bits(span.zero_points[0] as u32);
        [scales, b.scaled(b.times(scales, zeros), -1.0)]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, span: Row<'a>, first: usize) -> B::Quants {
        b.nibbles(|i| span.group(first + i))
    }
}

struct Mxfp4;

impl<'a> Format<'a> for Mxfp4 {
    const SIZE: usize = 32;
    const SIGNED: bool = true;
    type Matrix = QuantizedMatrix<'a>;
    type Row = Row<'a>;

    #[inline(always)]
    fn row(matrix: QuantizedMatrix<'a>, row: usize) -> Row<'a> {
        matrix.row(row)
    }

    #[inline(always)]
    fn bytes(span: Row<'a>) -> [&'a [u8]; 2] {
        span.bytes()
    }

    #[inline(always)]
    fn spans(row: Row<'a>) -> impl Iterator<Item = Row<'a>> {
        row.spans(QuantFormat::Mxfp4)
    }

    #[inline(always)]
    fn span(row: Row<'a>, span: usize, groups: usize) -> Row<'a> {
        row.span(span, groups, QuantFormat::Mxfp4)
    }

    #[inline(always)]
    fn factors<B: Bytes>(b: B, span: Row<'a>) -> [B::Factors; 2] {
        Int8::factors(b, span)
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, span: Row<'a>, first: usize) -> B::Quants {
        b.look_up(&E2M1, Int4::quants(b, span, first))
    }
}

impl<'a> Row<'a> {
    /// The whole spans, without their zero points.
    #[inline(always)]
    fn spans(&self, format: QuantFormat) -> impl Iterator<Item = Self> + use<'a> {
        let quants = self.quants.chunks_exact(SPAN * format.group_bytes());
        let spans = quants.zip(self.scales.chunks_exact(SPAN));
        spans.map(|(quants, scales)| Self { quants, scales, zero_points: &[] })
    }

    /// So many groups from a span on.
    #[inline(always)]
    fn span(&self, span: usize, groups: usize, format: QuantFormat) -> Self {
        const { assert!(ZERO_POINTS_PER_WORD == SPAN) };
        let (first, bytes) = (span * SPAN, format.group_bytes());
        Self {
            quants: &self.quants[first * bytes..][..groups * bytes],
            scales: &self.scales[first..][..groups],
            zero_points: if format == QuantFormat::Int4 { &self.zero_points[span..=span] } else { &[] },
        }
    }

    #[inline(always)]
    fn bytes(&self) -> [&'a [u8]; 2] {
        [self.quants, cast_slice(HalfFloatSliceExt::reinterpret_cast(self.scales))]
    }

    /// The bits of all scales, and zeros.
    #[inline(always)]
    fn scales(&self) -> [u16; SPAN] {
        let scales: &[u16] = self.scales.reinterpret_cast();
        from_fn(|i| scales.get(i).copied().unwrap_or_default())
    }

    /// The bytes of a group, or of the last one.
    #[inline(always)]
    fn group<const BYTES: usize>(&self, group: usize) -> &'a [u8; BYTES] {
        let groups = self.quants.as_chunks().0;
        &groups[group.min(groups.len() - 1)]
    }
}
