//! Quantized weights: matrices in 8 or 4 bits.
//!
//! Every row of a matrix `[rows, columns]` is cut along its input into groups of [`GROUP_SIZE`] numbers, the last one padded
//! with zeros. A group has one scale, a binary16 number, and each of its numbers is a small integer, its quant: the number is
//! `(quant - zero point) * scale`. Quants of 8 bits are 0 to 255 with a zero point of 128 for all; this program writes 1 to
//! 255. Quants of 4 bits are 0 to 15, and each group has a zero point of its own, 0 to 15.
//!
//! With groups one large number spoils the resolution of 31 others and not of a whole row (Dettmers et al., 8-bit
//! optimizers via block-wise quantization, arXiv:2110.02861; LLM.int8(), arXiv:2208.07339, measures what such outliers do to
//! Llamas and others). Of 16 quants a group whose numbers lie to one side of zero would leave some unused: with a zero point
//! of 4 bits for 32 numbers, squared errors are a tenth to a fifth less. A group takes 8.5 bits per weight, or 4.625.
//!
//! Memory holds what compressed-tensors calls `pack-quantized`: quants in consecutive 32-bit words, the first quant of a
//! word in its lowest bits (of MXFP4 the 4 bits that name them). On a little-endian machine these are bytes, or bytes of two
//! quants with the first in the lower half. Scales are a matrix of their own, so that quants are aligned wherever they are
//! mapped from. Zero points are packed along a row like quants of 4 bits (compressed-tensors packs them down a column).

use std::fmt;

use half::f16;
use rayon::prelude::*;
use thiserror::Error;

use crate::isa::vectorized;

mod block;
pub(crate) mod blocks;
mod matrix;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only kernels of x86-64 read strips"))]
pub(crate) mod panels;
mod planes;
mod quantize;

pub use block::{BlockFormat, BlockMatrix};
pub use blocks::{dequantize_blocks, quantize_blocks};
pub(crate) use matrix::Row;
pub use matrix::{Quantized, QuantizedMatrix};
pub use panels::Panels;
pub use planes::{Apart, BlockPlanes};
pub(crate) use quantize::{ROUND, max_magnitude};

/// Numbers that share a scale.
pub const GROUP_SIZE: usize = 32;

/// Numbers that one thread quantizes or dequantizes before another wakes up.
const SERIAL: usize = 1 << 14;

// The kernels read the words as bytes.
const _: () = assert!(cfg!(target_endian = "little"), "quantized weights are only read on little-endian machines");

/// The format of quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantFormat {
    /// 4 bits; a scale and a zero point for each group.
    Int4,
    /// 8 bits and a scale for each group.
    Int8,
    /// MXFP4 (OCP Microscaling Formats 1.0, section 5.3): 4 bits that name one of 16 numbers, e2m1, and for each group a power
    /// of two. A quant is twice such a number, an integer, and the scale is half the power: in binary16 exact, as far as it is
    /// no less than 2^-24 and no more than 2^15.
    Mxfp4,
}

/// The quants of MXFP4 by their 4 bits: twice the numbers 0, 0.5, 1, 1.5, 2, 3, 4, 6, and their negatives.
pub const E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// A number of bits that quantized weights do not come in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("weights do not come in {0} bits: use 8 or 4")]
pub struct UnknownQuantFormat(pub usize);

impl QuantFormat {
    /// Bits of a quant.
    pub const fn bits(self) -> usize {
        match self {
            Self::Int4 | Self::Mxfp4 => 4,
            Self::Int8 => 8,
        }
    }

    /// As messages call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Int4 => "4 bits",
            Self::Int8 => "8 bits",
            Self::Mxfp4 => "MXFP4",
        }
    }

    /// Quants in a 32-bit word.
    pub const fn per_word(self) -> usize {
        32 / self.bits()
    }

    /// What makes a quant no less than 0: integers are stored with it. In 4 bits a group has a zero point in its place, and
    /// this one if it is symmetric.
    pub const fn offset(self) -> i32 {
        match self {
            Self::Int4 | Self::Int8 => 1 << (self.bits() - 1),
            Self::Mxfp4 => 12,
        }
    }

    /// The quant that is stored as these bits.
    pub const fn quant(self, bits: u8) -> i32 {
        match self {
            Self::Int4 | Self::Int8 => bits as i32 - self.offset(),
            Self::Mxfp4 => E2M1[bits as usize] as i32,
        }
    }

    /// The bits of a zero.
    pub const fn zero(self) -> u8 {
        match self {
            Self::Int4 => 8,
            Self::Int8 => 128,
            Self::Mxfp4 => 0,
        }
    }

    /// Bytes of a group's quants.
    pub(crate) const fn group_bytes(self) -> usize {
        GROUP_SIZE * self.bits() / 8
    }
}

impl TryFrom<usize> for QuantFormat {
    type Error = UnknownQuantFormat;

    fn try_from(bits: usize) -> Result<Self, UnknownQuantFormat> {
        match bits {
            4 => Ok(Self::Int4),
            8 => Ok(Self::Int8),
            _ => Err(UnknownQuantFormat(bits)),
        }
    }
}

/// The bits of a quant.
impl fmt::Display for QuantFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bits().fmt(f)
    }
}

/// Groups, and so scales, of one row.
pub const fn groups(columns: usize) -> usize {
    columns.div_ceil(GROUP_SIZE)
}

/// 32-bit words of one row's quants.
pub const fn words(columns: usize, format: QuantFormat) -> usize {
    groups(columns) * GROUP_SIZE / format.per_word()
}

/// Zero points in a 32-bit word.
pub const ZERO_POINTS_PER_WORD: usize = 8;

/// 32-bit words of one row's zero points; none but in 4-bit integers.
pub const fn zero_words(columns: usize, format: QuantFormat) -> usize {
    match format {
        QuantFormat::Int4 => groups(columns).div_ceil(ZERO_POINTS_PER_WORD),
        QuantFormat::Int8 | QuantFormat::Mxfp4 => 0,
    }
}

/// A number that cannot be quantized.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NotQuantizable {
    #[error("number {index} is {value}: only finite numbers can be quantized")]
    NotFinite { index: usize, value: f32 },
    #[error(
        "number {index} is {value}: quantized to {format} its block would need a scale beyond binary16, \
         whose largest number is 65504"
    )]
    TooLarge { index: usize, value: f32, format: &'static str },
}

impl NotQuantizable {
    /// The same of a part that begins so many numbers behind the first.
    pub fn behind(mut self, numbers: usize) -> Self {
        let (Self::NotFinite { index, .. } | Self::TooLarge { index, .. }) = &mut self;
        *index += numbers;
        self
    }

    fn new(index: usize, value: f32, format: &'static str) -> Self {
        if value.is_finite() { Self::TooLarge { index, value, format } } else { Self::NotFinite { index, value } }
    }
}

/// `values` `[rows, columns]`, quantized.
///
/// In 8 bits a group's scale is its largest magnitude / 127, rounded up to binary16, so that nothing is clipped: every number
/// comes back within half a scale. In 4 bits the scale that clips nothing is the group's range, zero included, / 15, and the
/// zero point is where zero then lies: every number comes back within half a scale. From there both are moved to where the
/// sum of the group's squared errors is least among those that are tried: some zero points, with some scales each. That sum is
/// never more than with the first scale. In MXFP4 the scale is the power of two by which the largest magnitude is a quant
/// from 8 on; larger ones than 12 become 12. A number always has the quant that is nearest by its scale, and zero stays zero.
///
/// # Errors
/// At the first number that is not finite, or so large that its group's scale is not a binary16 number.
///
/// # Panics
/// If `values` are not whole rows.
pub fn quantize(values: &[f32], columns: usize, format: QuantFormat) -> Result<Quantized, NotQuantizable> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    assert_eq!(values.len(), rows * columns, "values are [rows, columns]");
    // Where there are none no word is written, and none stays.
    let zero_words = zero_words(columns, format);
    let mut quants = vec![0; rows * words(columns, format)];
    let mut scales = vec![f16::ZERO; rows * groups(columns)];
    let mut zero_points = vec![0; rows * zero_words.max(1)];
    if rows > 0 {
        let stored = quants.par_chunks_mut(words(columns, format));
        let stored = stored.zip(scales.par_chunks_mut(groups(columns)));
        let stored = stored.zip(zero_points.par_chunks_mut(zero_words.max(1)));
        let rows = values.par_chunks(columns).enumerate().zip(stored).with_min_len(SERIAL / columns);
        let failed = rows.find_map_first(|((row, values), ((quants, scales), zero_points))| {
            let failed = quantize::quantize_row(values, format, quants, scales, zero_points)?;
            Some(NotQuantizable::new(row * columns + failed, values[failed], format.name()))
        });
        failed.map_or(Ok(()), Err)?;
    }
    zero_points.truncate(rows * zero_words);
    Ok(Quantized { format, quants, scales, zero_points, columns })
}

/// `matrix` -> `out` `[rows, columns]`, the reverse of [`quantize`].
///
/// # Panics
/// If `out` has another length.
pub fn dequantize(matrix: QuantizedMatrix<'_>, out: &mut [f32]) {
    let columns = matrix.columns;
    assert_eq!(out.len(), matrix.rows() * columns, "out is [rows, columns]");
    if out.is_empty() {
        return;
    }
    each_row(out, columns, |row, out| {
        vectorized(
            #[inline(always)]
            || dequantize_row(matrix.row(row), matrix.format, out),
        );
    });
}

/// Calls `visit` with each row of `columns` numbers, on several threads if there are many.
fn each_row(out: &mut [f32], columns: usize, visit: impl Fn(usize, &mut [f32]) + Sync) {
    if out.len() <= SERIAL {
        out.chunks_mut(columns).enumerate().for_each(|(row, out)| visit(row, out));
    } else {
        let rows = out.par_chunks_mut(columns).enumerate().with_min_len(SERIAL / columns);
        rows.for_each(|(row, out)| visit(row, out));
    }
}

#[inline(always)]
fn dequantize_row(row: Row<'_>, format: QuantFormat, out: &mut [f32]) {
    let groups = row.quants.chunks_exact(format.group_bytes()).zip(row.scales);
    for ((group, (quants, scale)), out) in groups.enumerate().zip(out.chunks_mut(GROUP_SIZE)) {
        let scale = scale.to_f32();
        let mut numbers = [0.0; GROUP_SIZE];
        match format {
            QuantFormat::Int8 => {
                for (number, quant) in numbers.iter_mut().zip(quants) {
                    *number = QuantFormat::Int8.quant(*quant) as f32 * scale;
                }
            }
            QuantFormat::Int4 => {
                let zero = zero_point(row.zero_points, group);
                for (pair, two) in numbers.as_chunks_mut().0.iter_mut().zip(quants) {
                    *pair = [two & 0xf, two >> 4].map(|quant| (i32::from(quant) - zero) as f32 * scale);
                }
            }
            QuantFormat::Mxfp4 => {
                for (pair, two) in numbers.as_chunks_mut().0.iter_mut().zip(quants) {
                    *pair = [two & 0xf, two >> 4].map(|bits| format.quant(bits) as f32 * scale);
                }
            }
        }
        out.copy_from_slice(&numbers[..out.len()]);
    }
}

/// The zero point of a group of a row in 4 bits.
#[inline(always)]
pub(crate) fn zero_point(words: &[i32], group: usize) -> i32 {
    words[group / ZERO_POINTS_PER_WORD] >> (4 * (group % ZERO_POINTS_PER_WORD)) & 0xf
}

#[cfg(test)]
mod tests;
