//! Formats of blocks: what stands where, and what numbers it makes.
//!
//! A block is `GROUPS` groups of as many numbers each. A number is `quant * scale - min`, with a scale and a min for each
//! group; many formats have no mins. In blocks of 32 the scale stands as it is, in binary16. In blocks of 256 ("super-blocks"
//! of llama.cpp's k-quants) there is one binary16 number for all groups, and each group has a factor of a few bits.
//!
//! Sources: ggml's `ggml-common.h` for the layouts, the `gguf` Python package for the numbers, which are its numbers bit for
//! bit: products of binary16 numbers, factors and quants are exact in float32, and only a min is subtracted with rounding.

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use half::f16;
use rayon::prelude::*;

use super::{
    BlockFormat, BlockMatrix, NotQuantizable, SERIAL, each_row,
    quantize::{failed, max_magnitude},
};
use crate::isa::vectorized;

mod iq4;
mod mxfp4;
mod nibbles;
mod q2_k;
mod q3_k;
mod q4_k;
mod q6_k;
mod q8_0;
mod search;

pub(crate) use self::{
    iq4::{IQ4, Iq4Nl, Iq4Xs},
    mxfp4::{E2m1, Mxfp4, half_power},
    nibbles::{Q4_0, Q4_1, Q5_0, Q5_1},
    q2_k::Q2K,
    q3_k::Q3K,
    q4_k::{Q4K, Q5K, SixBits},
    q6_k::Q6K,
    q8_0::Q8_0,
};
pub(super) use search::Codes;

/// A block of `LEN` numbers in `GROUPS` groups, as it lies in a file: bytes, so that it may lie anywhere.
pub(crate) trait Block<const LEN: usize, const GROUPS: usize>: Pod + Send + Sync {
    /// Whether anything is subtracted.
    const MINS: bool = false;

    fn quants(&self) -> [i8; LEN];

    /// Of each group.
    fn scales(&self) -> [f32; GROUPS];

    /// What is subtracted from the products of each group.
    fn mins(&self) -> [f32; GROUPS] {
        [0.0; GROUPS]
    }

    /// Finite numbers in a block. `None` if they are beyond its scale.
    fn quantize(numbers: &[f32; LEN]) -> Option<Self>;
}

/// An expression with `$Block` for the blocks of a format: the one place that goes from a [`BlockFormat`] to its
/// type.
macro_rules! with_block {
    ($format:expr, $Block:ident => $body:expr) => {
        with_block!(@ $format, $Block => $body;
            Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K Iq4Nl Iq4Xs Mxfp4)
    };
    (@ $format:expr, $Block:ident => $body:expr; $($format_name:ident)*) => {
        match $format {
            $($crate::quant::BlockFormat::$format_name => {
                type $Block = $crate::quant::blocks::$format_name;
                $body
            })*
        }
    };
}
pub(crate) use with_block;

/// `matrix` in blocks -> `out` `[rows, columns]`. A scale that is no finite number makes numbers that are none.
///
/// # Panics
/// If `out` has another length.
pub fn dequantize_blocks(matrix: BlockMatrix<'_>, out: &mut [f32]) {
    let columns = matrix.columns;
    assert_eq!(out.len(), matrix.rows() * columns, "out is [rows, columns]");
    if out.is_empty() {
        return;
    }
    each_row(out, columns, |row, out| {
        vectorized(
            #[inline(always)]
            || with_block!(matrix.format, B => dequantize_row::<_, _, B>(matrix.row(row), out)),
        );
    });
}

#[inline(always)]
fn dequantize_row<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>(row: &[u8], out: &mut [f32]) {
    let blocks: &[B] = cast_slice(row);
    for (block, out) in blocks.iter().zip(out.as_chunks_mut::<LEN>().0) {
        dequantize(block, out);
    }
}

/// The numbers of a block.
#[inline(always)]
fn dequantize<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>(block: &B, out: &mut [f32; LEN]) {
    let (quants, scales, mins) = (block.quants(), block.scales(), block.mins());
    let group = const { LEN / GROUPS };
    let groups = out.chunks_exact_mut(group).zip(quants.chunks_exact(group));
    for ((out, quants), (scale, min)) in groups.zip(scales.iter().zip(&mins)) {
        for (out, quant) in out.iter_mut().zip(quants) {
            let product = f32::from(*quant) * scale;
            *out = if B::MINS { product - min } else { product };
        }
    }
}

/// `values` `[rows, columns]` -> `out` `[rows, row_bytes]`. A row is whole blocks.
///
/// A group's scale is that with the least squared error of many that are tried, and a number has the quant that is nearest by
/// it. Zeros alone stay zeros.
///
/// # Errors
/// At the first number that is not finite, or so large that its block's scale is not a binary16 number.
///
/// # Panics
/// If the lengths contradict each other.
pub fn quantize_blocks(
    values: &[f32],
    columns: usize,
    format: BlockFormat,
    out: &mut [u8],
) -> Result<(), NotQuantizable> {
    let row_bytes = format.row_bytes(columns);
    assert!(columns.is_multiple_of(format.block_len()), "a row of {columns} columns is not whole blocks of {format}");
    let rows = values.len().checked_div(columns).unwrap_or_default();
    assert_eq!(values.len(), rows * columns, "values are [rows, columns]");
    assert_eq!(out.len(), rows * row_bytes, "out is [rows, row_bytes]");
    if rows == 0 {
        return Ok(());
    }
    let rows = values.par_chunks(columns).zip(out.par_chunks_mut(row_bytes)).enumerate();
    let failed = rows.with_min_len(SERIAL / columns).find_map_first(|(row, (values, out))| {
        let failed = vectorized(
            #[inline(always)]
            || with_block!(format, B => quantize_row::<_, _, B>(values, out)),
        )?;
        Some(NotQuantizable::new(row * columns + failed, values[failed], format.name()))
    });
    failed.map_or(Ok(()), Err)
}

/// Returns the index of the first number that cannot be quantized, if there is one.
#[inline(always)]
fn quantize_row<const LEN: usize, const GROUPS: usize, B: Block<LEN, GROUPS>>(
    values: &[f32],
    out: &mut [u8],
) -> Option<usize> {
    let blocks: &mut [B] = cast_slice_mut(out);
    for (i, (values, block)) in values.as_chunks::<LEN>().0.iter().zip(blocks).enumerate() {
        let quantized = if max_magnitude(values) < f32::INFINITY.to_bits() { B::quantize(values) } else { None };
        match quantized {
            Some(quantized) => *block = quantized,
            None => return Some(i * LEN + failed(values)),
        }
    }
    None
}

/// Two bytes that are a binary16 number.
type Half = [u8; 2];

#[inline(always)]
fn number(half: Half) -> f32 {
    f16::from_le_bytes(half).to_f32()
}

/// Each `WIDTH` bytes hold `8 / BITS` runs of `WIDTH` numbers, the first run in the lowest bits. The numbers' bits go to
/// `place` in `out`, which has zeros there.
#[inline(always)]
fn unpack<const WIDTH: usize, const BITS: usize>(bytes: &[u8], place: u32, out: &mut [u8]) {
    let runs = out.chunks_exact_mut(const { WIDTH * 8 / BITS });
    for (bytes, runs) in bytes.as_chunks::<WIDTH>().0.iter().zip(runs) {
        for (run, out) in runs.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
            let shift = run * BITS;
            let mask = const { (1 << BITS) - 1 };
            // Vectors have no shifts of bytes.
            let ((words, bytes), (out_words, out)) = (bytes.as_chunks(), out.as_chunks_mut());
            for (out, word) in out_words.iter_mut().zip(words) {
                let bits = u32::from_le_bytes(*word) >> shift & u32::from_le_bytes([mask; 4]);
                *out = (u32::from_le_bytes(*out) | bits << place).to_le_bytes();
            }
            for (out, byte) in out.iter_mut().zip(bytes) {
                *out |= (byte >> shift & mask) << place;
            }
        }
    }
}

/// Eight fields of 4 or 2 bits, the first in the lowest bits, each in a byte of its own.
#[inline(always)]
pub(crate) fn apart<const BITS: usize>(fields: u32) -> u64 {
    /// The lowest `bits` of each `of`.
    const fn low(bits: usize, of: usize) -> u64 {
        let mut mask = 0;
        let mut at = 0;
        while at < 64 {
            mask |= ((1 << bits) - 1) << at;
            at += of;
        }
        mask
    }
    // The upper half of the fields moves up, then that of each half, and so on.
    let mut bytes = u64::from(fields);
    bytes = (bytes | bytes << (4 * (8 - BITS))) & const { low(4 * BITS, 32) };
    bytes = (bytes | bytes << (2 * (8 - BITS))) & const { low(2 * BITS, 16) };
    (bytes | bytes << (8 - BITS)) & const { low(BITS, 8) }
}

/// Eight bytes of 6 bits, less 32. Nothing is borrowed from the next byte, since each has its highest bit meanwhile.
#[inline(always)]
fn less_32(bytes: u64) -> [i8; 8] {
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    bytemuck::cast((((bytes | HIGHEST) - 0x2020_2020_2020_2020) ^ HIGHEST).to_le())
}

/// The reverse of [`unpack`], into `bytes` that have zeros there.
#[inline(always)]
pub(super) fn pack<const WIDTH: usize, const BITS: usize>(numbers: &[u8], place: u32, bytes: &mut [u8]) {
    let runs = numbers.chunks_exact(const { WIDTH * 8 / BITS });
    for (bytes, runs) in bytes.as_chunks_mut::<WIDTH>().0.iter_mut().zip(runs) {
        for (run, numbers) in runs.as_chunks::<WIDTH>().0.iter().enumerate() {
            for (byte, number) in bytes.iter_mut().zip(numbers) {
                *byte |= (number >> place & const { (1 << BITS) - 1 }) << (run * BITS);
            }
        }
    }
}

/// Quants that are stored as bits, with an offset that makes them no less than 0.
#[inline(always)]
fn less<const LEN: usize>(bits: [u8; LEN], offset: i8) -> [i8; LEN] {
    bits.map(|bits| bits as i8 - offset)
}

#[cfg(test)]
mod tests;
