//! Thin products with weights in blocks, where they lie.

use std::ops::Range;

use bytemuck::{Pod, cast_slice};

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
    quant::{BlockMatrix, GROUP_SIZE, blocks::with_block},
};

mod of_256;
mod of_32;

/// A block of numbers that is unpacked into registers: [`Format`] on slices of blocks.
pub trait Unpack: Pod {
    /// Columns that share factors.
    const SIZE: usize = GROUP_SIZE;
    /// Whether quants are signed.
    const SIGNED: bool = false;
    /// Groups of 32.
    const GROUPS: usize;

    /// The scales and constants of a span's blocks.
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2];

    /// The register from group `first` on.
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants;
}

impl<'a, T: Unpack> Format<'a> for T {
    const SIZE: usize = T::SIZE;
    const SIGNED: bool = T::SIGNED;
    /// All blocks, and how many make a row.
    type Matrix = (&'a [T], usize);
    type Row = &'a [T];

    #[inline(always)]
    fn row((blocks, of_row): (&'a [T], usize), row: usize) -> &'a [T] {
        &blocks[row * of_row..][..of_row]
    }

    #[inline(always)]
    fn bytes(span: &'a [T]) -> [&'a [u8]; 2] {
        [cast_slice(span), &[]]
    }

    #[inline(always)]
    fn spans(row: &'a [T]) -> impl Iterator<Item = &'a [T]> {
        row.chunks_exact(SPAN / T::GROUPS)
    }

    #[inline(always)]
    fn span(row: &'a [T], span: usize, groups: usize) -> &'a [T] {
        &row[span * SPAN / T::GROUPS..][..groups / T::GROUPS]
    }

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &'a [T]) -> [B::Factors; 2] {
        T::factors(b, blocks)
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &'a [T], first: usize) -> B::Quants {
        T::quants(b, blocks, first)
    }
}

impl MatVec<f32> for BlockMatrix<'_> {
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
        Order::Plain
    }

    fn input(isa: Isa, x: &[f32], columns: usize, order: Order) -> Tiles {
        Tiles::new(x, columns, order, bytes::tile(isa))
    }

    fn multiply(&self, isa: Isa, rows: Range<usize>, x: &Tiles, y: &Output<'_>) {
        with_block!(self.format, Block => {
            let groups = self.columns / GROUP_SIZE;
            let matrix = (cast_slice(self.blocks), groups / <Block as Unpack>::GROUPS);
            bytes::run(isa, Rows::<Block> { matrix, rows, groups, x, y });
        });
    }
}
