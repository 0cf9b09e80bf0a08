//! Weights in 8 or 4 bits: how a matrix is cut into blocks, and what is stored for each.
//!
//! Every row of a matrix `[rows, columns]` is cut along its input into blocks of [`BLOCK`] numbers, the last one filled up
//! with zeros. A block has one scale, a binary16 number, and each of its numbers an integer code; what is meant is
//! `code * scale`. Codes are -127 to 127, and -128 when another program wrote them, or -8 to 7.
//!
//! Blocks because one large number then spoils the resolution of 31 others and not of a whole row (Dettmers et al., 8-bit
//! optimizers via block-wise quantization, arXiv:2110.02861; LLM.int8(), arXiv:2208.07339, measures what such outliers
//! do to Llamas and others). 32 with a binary16 scale and no zero point is the cut of ggml's `Q8_0` and `Q4_0`: 8.5 and
//! 4.5 bits per weight, a symmetric code whose products are plain integer dot products, and a power of two that fills
//! the vectors of every CPU.
//!
//! Memory holds what compressed-tensors calls `pack-quantized`: `code + 128` or `code + 8`, which is never negative, in
//! consecutive 32-bit words, the first code of a word in its lowest bits. On a little-endian machine these are bytes, or
//! bytes of two codes with the first in the lower half. Unlike ggml's blocks, scales are a matrix of their own, so that
//! codes are aligned wherever they are mapped from.

use std::fmt;

use bytemuck::cast_slice;
use half::f16;
use rayon::prelude::*;
use thiserror::Error;

mod nearest;

pub use nearest::{ROUND, largest};

/// Numbers that share a scale.
pub const BLOCK: usize = 32;

/// Numbers that one thread encodes or decodes before another is awake.
const SERIAL: usize = 1 << 14;

// The kernels read the words as bytes.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "quantized weights are only read on little-endian machines"
);

/// How many bits a code has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bits {
    Four,
    Eight,
}

/// A number of bits that codes do not come in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("weights do not come in {0} bits: use 8 or 4")]
pub struct UnknownBits(pub usize);

impl Bits {
    pub const fn bits(self) -> usize {
        match self {
            Bits::Four => 4,
            Bits::Eight => 8,
        }
    }

    /// Codes in a 32-bit word.
    pub const fn per_word(self) -> usize {
        32 / self.bits()
    }

    /// What is added to a code before it is stored.
    pub const fn offset(self) -> i32 {
        1 << (self.bits() - 1)
    }

    /// Bytes of a block's codes.
    pub const fn block_bytes(self) -> usize {
        BLOCK * self.bits() / 8
    }
}

impl TryFrom<usize> for Bits {
    type Error = UnknownBits;

    fn try_from(bits: usize) -> Result<Self, UnknownBits> {
        match bits {
            4 => Ok(Bits::Four),
            8 => Ok(Bits::Eight),
            _ => Err(UnknownBits(bits)),
        }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bits().fmt(f)
    }
}

/// Blocks, and so scales, of one row.
pub const fn blocks(columns: usize) -> usize {
    columns.div_ceil(BLOCK)
}

/// 32-bit words of one row's codes.
pub const fn words(columns: usize, bits: Bits) -> usize {
    blocks(columns) * BLOCK / bits.per_word()
}

/// A number that has no code.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NotEncodable {
    #[error("number {index} is {value}: only finite numbers can be quantized")]
    NotFinite { index: usize, value: f32 },
    #[error(
        "number {index} is {value}: quantized to {bits} bits its block would need a scale beyond binary16, \
         whose largest number is 65504"
    )]
    TooLarge {
        index: usize,
        value: f32,
        bits: Bits,
    },
}

/// Matrix `values` `[rows, columns]` -> `codes` `[rows, words]` and `scales` `[rows, blocks]`.
///
/// In 8 bits a block's scale is its largest magnitude by 127, rounded up to binary16, so that nothing is cut off: every
/// number comes back within half a scale. In 4 bits the number of largest magnitude would have the code -8 by a scale of
/// either sign, which leaves every number within one scale, and within half of one unless it is of the other sign and of
/// nearly the same magnitude; the scale is then moved to where the sum of the block's squared errors is least among some
/// tried, and is never more than with that first one. A number always has the code that is nearest by its scale.
///
/// # Errors
/// At the first number that is not finite, or so large that its block's scale is not a binary16 number.
///
/// # Panics
/// If the lengths contradict each other.
pub fn encode(
    values: &[f32],
    columns: usize,
    bits: Bits,
    codes: &mut [i32],
    scales: &mut [f16],
) -> Result<(), NotEncodable> {
    check(values.len(), columns, bits, codes.len(), scales.len());
    if values.is_empty() {
        return Ok(());
    }
    let rows = values.par_chunks(columns).enumerate();
    let stored = codes
        .par_chunks_mut(words(columns, bits))
        .zip(scales.par_chunks_mut(blocks(columns)));
    let failed = rows
        .zip(stored)
        .with_min_len(SERIAL / columns)
        .find_map_first(|((row, values), (codes, scales))| {
            let failed = nearest::encode_row(values, bits, codes, scales)?;
            let index = row * columns + failed;
            let value = values[failed];
            Some(match value.is_finite() {
                true => NotEncodable::TooLarge { index, value, bits },
                false => NotEncodable::NotFinite { index, value },
            })
        });
    failed.map_or(Ok(()), Err)
}

/// The numbers that codes stand for, the reverse of [`encode`]: `out` is `[rows, columns]`.
///
/// # Panics
/// If the lengths contradict each other.
pub fn decode(codes: &[i32], scales: &[f16], columns: usize, bits: Bits, out: &mut [f32]) {
    check(out.len(), columns, bits, codes.len(), scales.len());
    if out.is_empty() {
        return;
    }
    let stored = codes
        .par_chunks(words(columns, bits))
        .zip(scales.par_chunks(blocks(columns)));
    out.par_chunks_mut(columns)
        .zip(stored)
        .with_min_len(SERIAL / columns)
        .for_each(|(out, (codes, scales))| {
            let codes: &[u8] = cast_slice(codes);
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || decode_row(codes, scales, bits, out),
            );
        });
}

#[inline(always)]
fn decode_row(codes: &[u8], scales: &[f16], bits: Bits, out: &mut [f32]) {
    let blocks = codes.chunks_exact(bits.block_bytes()).zip(scales);
    for ((codes, scale), out) in blocks.zip(out.chunks_mut(BLOCK)) {
        let scale = scale.to_f32();
        let mut numbers = [0.0; BLOCK];
        match bits {
            Bits::Eight => {
                for (number, code) in numbers.iter_mut().zip(codes) {
                    *number = (i32::from(*code) - Bits::Eight.offset()) as f32 * scale;
                }
            }
            Bits::Four => {
                for (pair, two) in numbers.as_chunks_mut().0.iter_mut().zip(codes) {
                    *pair = [two & 0xf, two >> 4]
                        .map(|code| (i32::from(code) - Bits::Four.offset()) as f32 * scale);
                }
            }
        }
        out.copy_from_slice(&numbers[..out.len()]);
    }
}

fn check(values: usize, columns: usize, bits: Bits, codes: usize, scales: usize) {
    let rows = values.checked_div(columns).unwrap_or(0);
    assert_eq!(values, rows * columns, "values are [rows, columns]");
    assert_eq!(
        codes,
        rows * words(columns, bits),
        "codes are [rows, words]"
    );
    assert_eq!(scales, rows * blocks(columns), "scales are [rows, blocks]");
}

/// A quantized matrix `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub struct Codes<'a> {
    pub bits: Bits,
    /// `[rows, words]`
    pub quants: &'a [i32],
    /// `[rows, blocks]`
    pub scales: &'a [f16],
    pub columns: usize,
}

impl<'a> Codes<'a> {
    /// # Panics
    /// If the lengths contradict each other.
    pub fn new(bits: Bits, quants: &'a [i32], scales: &'a [f16], columns: usize) -> Self {
        let rows = quants
            .len()
            .checked_div(words(columns, bits))
            .unwrap_or_default();
        check(rows * columns, columns, bits, quants.len(), scales.len());
        Self {
            bits,
            quants,
            scales,
            columns,
        }
    }

    pub fn rows(&self) -> usize {
        self.scales
            .len()
            .checked_div(blocks(self.columns))
            .unwrap_or_default()
    }

    /// Bytes of one row, scales included.
    pub fn row_bytes(&self) -> usize {
        blocks(self.columns) * (self.bits.block_bytes() + size_of::<f16>())
    }

    /// One row's quants, [`Bits::block_bytes`] of each group, and its scales.
    #[inline(always)]
    pub fn row(&self, row: usize) -> (&'a [u8], &'a [f16]) {
        let words = words(self.columns, self.bits);
        let blocks = blocks(self.columns);
        (
            cast_slice(&self.quants[row * words..][..words]),
            &self.scales[row * blocks..][..blocks],
        )
    }

    /// The matrix in chunks of `rows` rows, the last of fewer.
    pub fn chunks(self, rows: usize) -> impl Iterator<Item = Codes<'a>> {
        let quants = self.quants.chunks(rows * words(self.columns, self.bits));
        let scales = self.scales.chunks(rows * blocks(self.columns));
        quants.zip(scales).map(move |(quants, scales)| Codes {
            quants,
            scales,
            ..self
        })
    }
}

#[cfg(test)]
mod tests;
