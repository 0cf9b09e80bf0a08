//! Quantized weights: matrices in 8 or 4 bits.
//!
//! Every row of a matrix `[rows, columns]` is cut along its input into groups of [`GROUP_SIZE`] numbers, the last one padded
//! with zeros. A group has one scale, a binary16 number, and each of its numbers is a small integer, its quant: the number is
//! `quant * scale`. Quants are -127 to 127 (-128, too, in files of other programs), or -8 to 7.
//!
//! With groups one large number spoils the resolution of 31 others and not of a whole row (Dettmers et al., 8-bit
//! optimizers via block-wise quantization, arXiv:2110.02861; LLM.int8(), arXiv:2208.07339, measures what such outliers do to
//! Llamas and others). 32 with a binary16 scale and no zero point is the cut of ggml's `Q8_0` and `Q4_0`: 8.5 and 4.5 bits
//! per weight, symmetric quants whose products are plain integer dot products, and a power of two that fills the vectors of
//! every CPU.
//!
//! Memory holds what compressed-tensors calls `pack-quantized`: `quant + 128` or `quant + 8`, which is never negative, in
//! consecutive 32-bit words, the first quant of a word in its lowest bits (MXFP4's 4 bits are as they are stored). On a little-endian machine these are bytes, or
//! bytes of two quants with the first in the lower half. Unlike ggml's blocks, scales are a matrix of their own, so that
//! quants are aligned wherever they are mapped from.

use std::fmt;

use bytemuck::cast_slice;
use half::f16;
use rayon::prelude::*;
use thiserror::Error;

mod quantize;

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
    /// 4 bits and a scale for each group.
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

/// The same with their offset, as products take them.
pub(crate) const UNSIGNED_E2M1: [u8; 16] = [12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0];

impl QuantFormat {
    /// Bits of a quant.
    pub const fn bits(self) -> usize {
        match self {
            Self::Int4 | Self::Mxfp4 => 4,
            Self::Int8 => 8,
        }
    }

    /// Quants in a 32-bit word.
    pub const fn per_word(self) -> usize {
        32 / self.bits()
    }

    /// What is added to a quant to make it no less than 0; integers are stored so.
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

/// A number that cannot be quantized.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NotQuantizable {
    #[error("number {index} is {value}: only finite numbers can be quantized")]
    NotFinite { index: usize, value: f32 },
    #[error(
        "number {index} is {value}: quantized to {format} bits its block would need a scale beyond binary16, \
         whose largest number is 65504"
    )]
    TooLarge { index: usize, value: f32, format: QuantFormat },
}

/// `values` `[rows, columns]` -> `quants` `[rows, words]` and `scales` `[rows, groups]`
///
/// In 8 bits a group's scale is its largest magnitude / 127, rounded up to binary16, so that nothing is clipped: every number
/// comes back within half a scale. In 4 bits the number of largest magnitude would have the quant -8 by a scale of either
/// sign, which leaves every number within one scale, and within half of one unless it is of the other sign and of nearly the
/// same magnitude. From there the scale is moved to where the sum of the group's squared errors is least among some that
/// are tried; that sum is never more than with the first scale. In MXFP4 the scale is the power of two by which the largest
/// magnitude is a quant from 8 on; larger ones than 12 become 12. A number always has the quant that is nearest by its scale.
///
/// # Errors
/// At the first number that is not finite, or so large that its group's scale is not a binary16 number.
///
/// # Panics
/// If the lengths contradict each other.
pub fn quantize(
    values: &[f32],
    columns: usize,
    format: QuantFormat,
    quants: &mut [i32],
    scales: &mut [f16],
) -> Result<(), NotQuantizable> {
    check(values.len(), columns, format, quants.len(), scales.len());
    if values.is_empty() {
        return Ok(());
    }
    let rows = values.par_chunks(columns).enumerate();
    let stored = quants.par_chunks_mut(words(columns, format)).zip(scales.par_chunks_mut(groups(columns)));
    let failed = rows.zip(stored).with_min_len(SERIAL / columns).find_map_first(|((row, values), (quants, scales))| {
        let failed = quantize::quantize_row(values, format, quants, scales)?;
        let index = row * columns + failed;
        let value = values[failed];
        Some(if value.is_finite() {
            NotQuantizable::TooLarge { index, value, format }
        } else {
            NotQuantizable::NotFinite { index, value }
        })
    });
    failed.map_or(Ok(()), Err)
}

/// `quants` `[rows, words]` and `scales` `[rows, groups]` -> `out` `[rows, columns]`, the reverse of [`quantize`].
///
/// # Panics
/// If the lengths contradict each other.
pub fn dequantize(quants: &[i32], scales: &[f16], columns: usize, format: QuantFormat, out: &mut [f32]) {
    check(out.len(), columns, format, quants.len(), scales.len());
    if out.is_empty() {
        return;
    }
    let stored = quants.par_chunks(words(columns, format)).zip(scales.par_chunks(groups(columns)));
    out.par_chunks_mut(columns).zip(stored).with_min_len(SERIAL / columns).for_each(|(out, (quants, scales))| {
        let quants: &[u8] = cast_slice(quants);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || dequantize_row(quants, scales, format, out),
        );
    });
}

#[inline(always)]
fn dequantize_row(quants: &[u8], scales: &[f16], format: QuantFormat, out: &mut [f32]) {
    let groups = quants.chunks_exact(format.group_bytes()).zip(scales);
    for ((quants, scale), out) in groups.zip(out.chunks_mut(GROUP_SIZE)) {
        let scale = scale.to_f32();
        let mut numbers = [0.0; GROUP_SIZE];
        match format {
            QuantFormat::Int8 => {
                for (number, quant) in numbers.iter_mut().zip(quants) {
                    *number = QuantFormat::Int8.quant(*quant) as f32 * scale;
                }
            }
            QuantFormat::Int4 | QuantFormat::Mxfp4 => {
                for (pair, two) in numbers.as_chunks_mut().0.iter_mut().zip(quants) {
                    *pair = [two & 0xf, two >> 4].map(|bits| format.quant(bits) as f32 * scale);
                }
            }
        }
        out.copy_from_slice(&numbers[..out.len()]);
    }
}

fn check(values: usize, columns: usize, format: QuantFormat, quants: usize, scales: usize) {
    let rows = values.checked_div(columns).unwrap_or(0);
    assert_eq!(values, rows * columns, "values are [rows, columns]");
    let words = rows * words(columns, format);
    assert_eq!(quants, words, "quants are [rows, words]");
    assert_eq!(scales, rows * groups(columns), "scales are [rows, groups]");
}

/// A quantized matrix `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub struct QuantizedMatrix<'a> {
    pub format: QuantFormat,
    /// `[rows, words]`
    pub quants: &'a [i32],
    /// `[rows, groups]`
    pub scales: &'a [f16],
    pub columns: usize,
}

impl<'a> QuantizedMatrix<'a> {
    /// # Panics
    /// If the lengths contradict each other.
    pub fn new(format: QuantFormat, quants: &'a [i32], scales: &'a [f16], columns: usize) -> Self {
        let rows = quants.len().checked_div(words(columns, format));
        let values = rows.unwrap_or_default() * columns;
        check(values, columns, format, quants.len(), scales.len());
        Self { format, quants, scales, columns }
    }

    pub fn rows(&self) -> usize {
        let rows = self.scales.len().checked_div(groups(self.columns));
        rows.unwrap_or_default()
    }

    /// Bytes of one row, scales included.
    pub fn row_bytes(&self) -> usize {
        groups(self.columns) * (self.format.group_bytes() + size_of::<f16>())
    }

    /// One row's quants, [`QuantFormat::group_bytes`] of each group, and its scales.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> (&'a [u8], &'a [f16]) {
        let words = words(self.columns, self.format);
        let groups = groups(self.columns);
        (cast_slice(&self.quants[row * words..][..words]), &self.scales[row * groups..][..groups])
    }

    /// The matrix in chunks of `rows` rows, the last of fewer.
    pub(crate) fn chunks(self, rows: usize) -> impl Iterator<Item = Self> {
        let quants = self.quants.chunks(rows * words(self.columns, self.format));
        let scales = self.scales.chunks(rows * groups(self.columns));
        quants.zip(scales).map(move |(quants, scales)| Self { quants, scales, ..self })
    }
}

#[cfg(test)]
mod tests;
