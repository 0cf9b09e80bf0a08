//! Thin products with quantized weights: unpack, dot, scale, written once for all formats and instruction sets.

use std::ops::Range;

use super::{
    TILE_ROWS,
    activations::{Activations, Spans},
    bytes::{Bytes, OnBytes, SPAN},
    output::Output,
};
use crate::{isa, prefetch::prefetch_lines};

/// A format of quantized rows. A number is `quant * scale + constant`, with a scale and a constant for each `SIZE` columns.
pub trait Format<'a> {
    /// Columns that share factors: 32 or 16.
    const SIZE: usize;
    /// Whether quants are signed bytes, as [`Bytes::signed`] holds them, and else from 0 to 63.
    const SIGNED: bool;

    type Matrix: Copy;
    /// A row, or a span of one.
    type Row: Copy;

    fn row(matrix: Self::Matrix, row: usize) -> Self::Row;

    /// Where a span lies in memory: all of it, or its quants and its scales.
    fn bytes(span: Self::Row) -> [&'a [u8]; 2];

    /// The whole spans, one after the other.
    fn spans(row: Self::Row) -> impl Iterator<Item = Self::Row>;

    /// So many groups from a span on.
    fn span(row: Self::Row, span: usize, groups: usize) -> Self::Row;

    /// The scales and constants of a span, zeros behind its end. Signed quants have the constants by which they are too large
    /// where they are held with an offset.
    fn factors<B: Bytes>(b: B, span: Self::Row) -> [B::Factors; 2];

    /// The register from group `first` of a span on. Behind its end quants may be anything.
    fn quants<B: Bytes>(b: B, span: Self::Row, first: usize) -> B::Quants;
}

/// Some rows of a matrix times all vectors.
pub struct Rows<'a, F: Format<'a>> {
    pub matrix: F::Matrix,
    pub rows: Range<usize>,
    pub groups: usize,
    pub x: &'a Activations,
    pub y: &'a Output<'a>,
}

impl<'a, F: Format<'a>> OnBytes for Rows<'a, F> {
    #[inline(always)]
    fn run<B: Bytes>(self, b: B) {
        for first in (0..self.x.len()).step_by(B::TILE) {
            // A vector that is multiplied twice costs less than another pass.
            match self.x.len() - first {
                1 => self.multiply::<B, 1>(b, first),
                _ if B::TILE == 1 => self.multiply::<B, 1>(b, first),
                2 => self.multiply::<B, 2>(b, first),
                _ => self.multiply::<B, 4>(b, first),
            }
        }
    }
}

impl<'a, F: Format<'a>> Rows<'a, F> {
    /// The rows, one after the other, times `N` vectors.
    #[inline(always)]
    fn multiply<B: Bytes, const N: usize>(&self, b: B, first: usize) {
        let last = self.x.len() - 1;
        let mut x = [self.x.vector(first).spans(); N];
        let whole = self.groups / SPAN;
        for (n, x) in x.iter_mut().enumerate() {
            *x = self.x.vector((first + n).min(last)).spans();
            // Said once, and not looked at again in every span.
            let lengths = [x.quants.len(), x.scales.len(), x.sums.len(), x.half_sums.len()];
            assert!(lengths.into_iter().all(|len| len >= whole), "vectors are as long as rows");
        }
        // Only the first vectors wait for memory: the others find these rows in a cache.
        let ahead = if first == 0 { isa::ahead() } else { None };
        let mut row = self.rows.start;
        while row < self.rows.end {
            let many = (self.rows.end - row).min(TILE_ROWS);
            let mut sums = [[b.zero(); TILE_ROWS]; N];
            for r in 0..many {
                let of_row = products::<B, F, N>(b, F::row(self.matrix, row + r), self.groups, &x, ahead);
                for (sums, of_row) in sums.iter_mut().zip(of_row) {
                    sums[r] = of_row;
                }
            }
            for (n, sums) in sums.into_iter().enumerate() {
                let (vector, products) = ((first + n).min(last), b.reduce(sums));
                if many == TILE_ROWS {
                    self.y.write(vector, row, &products);
                } else {
                    self.y.write(vector, row, &products[..many]);
                }
            }
            row += many;
        }
    }
}

/// The products of a row with some vectors, a register for each.
#[inline(always)]
fn products<'a, B: Bytes, F: Format<'a>, const N: usize>(
    b: B,
    row: F::Row,
    groups: usize,
    x: &[Spans<'_>; N],
    ahead: Option<usize>,
) -> [B::Floats; N] {
    let mut sums = [[b.zero(); 2]; N];
    let mut spans = F::spans(row);
    for span in 0..groups / SPAN {
        let Some(weights) = spans.next() else { break };
        if let Some(ahead) = ahead {
            F::bytes(weights).into_iter().for_each(|bytes| prefetch_lines(bytes, ahead));
        }
        add_span::<B, F, N>(b, weights, SPAN, x, span, &mut sums);
    }
    let rest = groups % SPAN;
    if rest > 0 {
        let span = groups / SPAN;
        add_span::<B, F, N>(b, F::span(row, span, rest), rest, x, span, &mut sums);
    }
    let mut both = [b.zero(); N];
    for (both, [even, odd]) in both.iter_mut().zip(sums) {
        *both = b.add(even, odd);
    }
    both
}

#[inline(always)]
fn add_span<'a, B: Bytes, F: Format<'a>, const N: usize>(
    b: B,
    weights: F::Row,
    groups: usize,
    x: &[Spans<'_>; N],
    span: usize,
    sums: &mut [[B::Floats; 2]; N],
) {
    let [scales, constants] = F::factors(b, weights);
    let mut factors = [scales; N];
    for ((factors, sums), x) in factors.iter_mut().zip(&mut *sums).zip(x) {
        if F::SIZE == 16 {
            *factors = b.times(scales, b.twice(&x.scales[span]));
            if !F::SIGNED || B::OFFSET != 0.0 {
                sums[0] = b.add_factors::<16>(constants, b.floats16(&x.half_sums[span]), sums[0]);
            }
        } else {
            *factors = b.times(scales, b.floats(&x.scales[span]));
            if !F::SIGNED || B::OFFSET != 0.0 {
                sums[0] = b.add_factors::<32>(constants, b.floats(&x.sums[span]), sums[0]);
            }
        }
    }
    // One by one, so that each is compiled with its own shifts.
    add_register::<B, F, N, 0>(b, weights, groups, x, span, &factors, sums);
    add_register::<B, F, N, 1>(b, weights, groups, x, span, &factors, sums);
    add_register::<B, F, N, 2>(b, weights, groups, x, span, &factors, sums);
    add_register::<B, F, N, 3>(b, weights, groups, x, span, &factors, sums);
    if B::GROUPS == 1 {
        add_register::<B, F, N, 4>(b, weights, groups, x, span, &factors, sums);
        add_register::<B, F, N, 5>(b, weights, groups, x, span, &factors, sums);
        add_register::<B, F, N, 6>(b, weights, groups, x, span, &factors, sums);
        add_register::<B, F, N, 7>(b, weights, groups, x, span, &factors, sums);
    }
}

/// Register `R` of a span, if it has as many groups.
#[inline(always)]
fn add_register<'a, B: Bytes, F: Format<'a>, const N: usize, const R: usize>(
    b: B,
    weights: F::Row,
    groups: usize,
    x: &[Spans<'_>; N],
    span: usize,
    factors: &[B::Factors; N],
    sums: &mut [[B::Floats; 2]; N],
) {
    if R * B::GROUPS >= groups {
        return;
    }
    let quants = F::quants(b, weights, R * B::GROUPS);
    for ((sums, factors), x) in sums.iter_mut().zip(factors).zip(x) {
        let x = &x.quants[span];
        let products = if F::SIGNED { b.dot::<true>(quants, x, R) } else { b.dot::<false>(quants, x, R) };
        let factors = if F::SIZE == 16 { b.spread::<16>(*factors, R) } else { b.spread::<32>(*factors, R) };
        let sum = &mut sums[R % 2];
        *sum = b.multiply_add(products, factors, *sum);
    }
}
