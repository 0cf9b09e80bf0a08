//! Quantized weights in blocks, as ggml lays them out: everything that a block needs stands in it, scales beside quants.

use std::fmt;

use super::blocks::with_block;

/// The layout of a block (ggml's `ggml-common.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockFormat {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
    Mxfp4,
}

impl BlockFormat {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
        Self::Mxfp4,
    ];

    /// Weights of a block.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 | Self::Iq4Nl | Self::Mxfp4 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K | Self::Iq4Xs => 256,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        with_block!(self, B => size_of::<B>())
    }

    /// Bytes of a row of so many columns, which are whole blocks.
    pub const fn row_bytes(self, columns: usize) -> usize {
        columns / self.block_len() * self.block_bytes()
    }

    /// ggml's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
            Self::Iq4Nl => "IQ4_NL",
            Self::Iq4Xs => "IQ4_XS",
            Self::Mxfp4 => "MXFP4",
        }
    }
}

impl fmt::Display for BlockFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A matrix `[rows, columns]` in blocks, row after row; a row is whole blocks.
#[derive(Clone, Copy, Debug)]
pub struct BlockMatrix<'a> {
    pub format: BlockFormat,
    /// `[rows, row_bytes]`, at any alignment.
    pub blocks: &'a [u8],
    pub columns: usize,
}

impl<'a> BlockMatrix<'a> {
    /// # Panics
    /// If a row is not whole blocks, or `blocks` are not whole rows.
    pub fn new(format: BlockFormat, blocks: &'a [u8], columns: usize) -> Self {
        assert!(
            columns.is_multiple_of(format.block_len()),
            "a row of {columns} columns is not whole blocks of {format}"
        );
        let rows = blocks.len().checked_rem(format.row_bytes(columns)).unwrap_or(blocks.len());
        assert_eq!(rows, 0, "blocks are [rows, row_bytes]");
        Self { format, blocks, columns }
    }

    /// Bytes of one row.
    pub const fn row_bytes(&self) -> usize {
        self.format.row_bytes(self.columns)
    }

    pub fn rows(&self) -> usize {
        self.blocks.len().checked_div(self.row_bytes()).unwrap_or_default()
    }

    /// The bytes of one row.
    pub fn row(&self, row: usize) -> &'a [u8] {
        &self.blocks[row * self.row_bytes()..][..self.row_bytes()]
    }
}
