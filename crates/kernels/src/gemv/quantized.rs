//! Thin products with quantized weights: unpack, dot, scale, written once for all formats and instruction sets.

use std::ops::Range;

use super::{
    TILE_ROWS,
    activations::Span,
    bytes::{Bytes, OnBytes, SPAN},
    output::Output,
    tiles::{Tile, Tiles},
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
    pub x: &'a Tiles,
    pub y: &'a Output<'a>,
}

impl<'a, F: Format<'a>> OnBytes for Rows<'a, F> {
    #[inline(always)]
    fn run<B: Bytes>(self, b: B) {
        for tile in self.x.iter() {
            match tile.width {
                1 => self.multiply::<B, 1>(b, &tile),
                _ if B::TILE == 1 => unreachable!("no tile is wider than TILE"),
                2 => self.multiply::<B, 2>(b, &tile),
                4 => self.multiply::<B, 4>(b, &tile),
                _ if B::TILE == 4 => unreachable!("no tile is wider than TILE"),
                _ => self.multiply::<B, 8>(b, &tile),
            }
        }
    }
}

impl<'a, F: Format<'a>> Rows<'a, F> {
    /// The rows, one after the other, times the `N` vectors of a tile.
    #[inline(always)]
    fn multiply<B: Bytes, const N: usize>(&self, b: B, tile: &Tile<'_>) {
        let x = tile.spans.as_chunks::<N>().0;
        let vectors = N.min(self.x.len() - tile.first);
        // Only the first vectors wait for memory: the others find these rows in a cache.
        let ahead = if tile.first == 0 { isa::ahead() } else { None };
        let mut row = self.rows.start;
        while row < self.rows.end {
            let many = (self.rows.end - row).min(TILE_ROWS);
            let mut sums = [[b.zero(); TILE_ROWS]; N];
            for r in 0..many {
                let of_row = products::<B, F, N>(b, F::row(self.matrix, row + r), self.groups, x, ahead);
                for (sums, of_row) in sums.iter_mut().zip(of_row) {
                    sums[r] = of_row;
                }
            }
            for (n, sums) in sums.iter().enumerate().take(vectors) {
                let products = b.reduce(*sums);
                if many == TILE_ROWS {
                    self.y.write(tile.first + n, row, &products);
                } else {
                    self.y.write(tile.first + n, row, &products[..many]);
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
    x: &[[Span; N]],
    ahead: Option<usize>,
) -> [B::Floats; N] {
    let mut sums = [[b.zero(); 2]; N];
    let (whole, rest) = (groups / SPAN, groups % SPAN);
    for (x, weights) in x[..whole].iter().zip(F::spans(row)) {
        if let Some(ahead) = ahead {
            F::bytes(weights).into_iter().for_each(|bytes| prefetch_lines(bytes, ahead));
        }
        add_span::<B, F, N>(b, weights, SPAN, x, &mut sums);
    }
    if rest > 0 {
        add_span::<B, F, N>(b, F::span(row, whole, rest), rest, &x[whole], &mut sums);
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
    x: &[Span; N],
    sums: &mut [[B::Floats; 2]; N],
) {
    let [scales, constants] = F::factors(b, weights);
    let mut factors = [scales; N];
    for ((factors, sums), x) in factors.iter_mut().zip(&mut *sums).zip(x) {
        if F::SIZE == 16 {
            *factors = b.times(scales, b.twice(&x.scales));
            if !F::SIGNED {
                sums[0] = b.add_factors::<16>(constants, b.floats16(&x.half_sums), sums[0]);
            }
        } else {
            *factors = b.times(scales, b.floats(&x.scales));
            if !F::SIGNED {
                sums[0] = b.add_factors::<32>(constants, b.floats(&x.sums), sums[0]);
            }
        }
    }
    // One by one, so that each is compiled with its own shifts.
    add_register::<B, F, N, 0>(b, weights, groups, x, &factors, sums);
    add_register::<B, F, N, 1>(b, weights, groups, x, &factors, sums);
    add_register::<B, F, N, 2>(b, weights, groups, x, &factors, sums);
    add_register::<B, F, N, 3>(b, weights, groups, x, &factors, sums);
    if B::GROUPS == 1 {
        add_register::<B, F, N, 4>(b, weights, groups, x, &factors, sums);
        add_register::<B, F, N, 5>(b, weights, groups, x, &factors, sums);
        add_register::<B, F, N, 6>(b, weights, groups, x, &factors, sums);
        add_register::<B, F, N, 7>(b, weights, groups, x, &factors, sums);
    }
}

/// Register `R` of a span, if it has as many groups.
#[inline(always)]
fn add_register<'a, B: Bytes, F: Format<'a>, const N: usize, const R: usize>(
    b: B,
    weights: F::Row,
    groups: usize,
    x: &[Span; N],
    factors: &[B::Factors; N],
    sums: &mut [[B::Floats; 2]; N],
) {
    if R * B::GROUPS >= groups {
        return;
    }
    let quants = F::quants(b, weights, R * B::GROUPS);
    for ((sums, factors), x) in sums.iter_mut().zip(factors).zip(x) {
        let products =
            if F::SIGNED { b.dot::<true>(quants, &x.quants, R) } else { b.dot::<false>(quants, &x.quants, R) };
        let factors = if F::SIZE == 16 { b.spread::<16>(*factors, R) } else { b.spread::<32>(*factors, R) };
        let sum = &mut sums[R % 2];
        *sum = b.multiply_add(products, factors, *sum);
    }
}
