//! Blocks taken apart, for devices that read words of 32 bits: the quants in the order of their columns, and what a block has
//! beside them in matrices of their own. Nothing is rounded.

use bytemuck::{cast_slice, cast_slice_mut};
use half::f16;
use rayon::prelude::*;

use super::{
    BlockFormat, BlockMatrix, GROUP_SIZE, QuantFormat, Quantized, SERIAL,
    blocks::{Block, Iq4Nl, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0},
    groups, words, zero_words,
};

/// Columns of a block of Q4_K, Q5_K and Q6_K.
const BLOCK: usize = 256;

/// A matrix in blocks, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Apart {
    /// Formats with a scale for each [`GROUP_SIZE`] and no minimum are those of [`QuantFormat`].
    Planar(Quantized),
    Planes(BlockPlanes),
}

/// The planes of a matrix `[rows, columns]` in Q4_K, Q5_K or Q6_K.
///
/// A block of 256 columns has two binary16 numbers, `d` and `dmin`, and 16 bytes, its factors. In Q4_K and Q5_K a group of 32
/// has one of the first 8 for its scale and one of the last 8 for its minimum, and a number is `d * factor * quant - dmin *
/// factor`. In Q6_K a group of 16 has one, with [`BlockPlanes::FACTOR_OFFSET`], and a number is `d * factor * (quant - 32)`.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockPlanes {
    /// The lower 4 bits of each quant: `[rows, columns / 8]`
    pub low: Vec<i32>,
    /// The bits above, as many as [`high_bits`](Self::high_bits) says: `[rows, high_bits * columns / 32]`
    pub high: Vec<i32>,
    /// `[rows, columns / 64]`
    pub factors: Vec<i32>,
    /// `d`, `dmin`: `[rows, columns / 128]`
    pub scales: Vec<f16>,
}

impl BlockPlanes {
    /// What is added to a factor of Q6_K, which has a sign.
    pub const FACTOR_OFFSET: u8 = 128;

    /// Bits of a quant above the lower 4; `None`: the format is not held in planes.
    pub const fn high_bits(format: BlockFormat) -> Option<usize> {
        match format {
            BlockFormat::Q4K => Some(0),
            BlockFormat::Q5K => Some(1),
            BlockFormat::Q6K => Some(2),
            _ => None,
        }
    }
}

impl BlockFormat {
    /// Whether [`Apart`] can hold it.
    pub const fn comes_apart(self) -> bool {
        matches!(self, Self::Q4_0 | Self::Q5_0 | Self::Q8_0 | Self::Iq4Nl) || BlockPlanes::high_bits(self).is_some()
    }
}

impl Apart {
    /// `None` where [`BlockFormat::comes_apart`] says so.
    pub fn of(matrix: BlockMatrix<'_>) -> Option<Self> {
        Some(match matrix.format {
            BlockFormat::Q4_0 => Self::Planar(planar::<Q4_0>(matrix, QuantFormat::Int4)),
            BlockFormat::Q5_0 => Self::Planar(planar::<Q5_0>(matrix, QuantFormat::Int8)),
            BlockFormat::Q8_0 => Self::Planar(planar::<Q8_0>(matrix, QuantFormat::Int8)),
            BlockFormat::Iq4Nl => Self::Planar(planar::<Iq4Nl>(matrix, QuantFormat::Int8)),
            BlockFormat::Q4K => Self::Planes(planes::<8, 0, Q4K>(matrix, 0, |block| {
                let six = &block.factors;
                (bytemuck::cast([six.scale_bits(), six.min_bits()]), [six.d, six.dmin])
            })),
            BlockFormat::Q5K => Self::Planes(planes::<8, 1, Q5K>(matrix, 0, |block| {
                let six = &block.factors;
                (bytemuck::cast([six.scale_bits(), six.min_bits()]), [six.d, six.dmin])
            })),
            BlockFormat::Q6K => Self::Planes(planes::<16, 2, Q6K>(matrix, 32, |block| {
                (block.scales.map(|factor| factor as u8 ^ BlockPlanes::FACTOR_OFFSET), [block.d, [0; 2]])
            })),
            _ => return None,
        })
    }
}

fn planar<B: Block<GROUP_SIZE, 1> + Sync>(matrix: BlockMatrix<'_>, format: QuantFormat) -> Quantized {
    let (rows, columns) = (matrix.rows(), matrix.columns);
    let mut quants = vec![0; rows * words(columns, format)];
    let mut scales = vec![f16::ZERO; rows * groups(columns)];
    let to = cast_slice_mut::<i32, u8>(&mut quants).par_chunks_exact_mut(format.group_bytes());
    let blocks = cast_slice::<u8, B>(matrix.blocks).par_iter().with_min_len(SERIAL / GROUP_SIZE);
    blocks.zip(to.zip(&mut scales)).for_each(|(block, (to, scale))| {
        let quants = block.quants().map(|quant| (i32::from(quant) + format.offset()) as u8);
        pack(&quants, format.bits(), to);
        *scale = f16::from_f32(block.scales()[0]);
    });
    // All zero points are the offset.
    let zeros = QuantFormat::Int4.offset() as u8;
    let zero_points = vec![i32::from_le_bytes([zeros | zeros << 4; 4]); rows * zero_words(columns, format)];
    Quantized { format, quants, scales, zero_points, columns }
}

/// `factors` returns those of a block, and its `d` and `dmin`.
fn planes<const GROUPS: usize, const HIGH: usize, B: Block<BLOCK, GROUPS> + Sync>(
    matrix: BlockMatrix<'_>,
    offset: i8,
    factors: impl Fn(&B) -> ([u8; 16], [[u8; 2]; 2]) + Sync,
) -> BlockPlanes {
    let blocks: &[B] = cast_slice(matrix.blocks);
    let mut planes = BlockPlanes {
        low: vec![0; blocks.len() * BLOCK / 8],
        high: vec![0; blocks.len() * BLOCK * HIGH / 32],
        factors: vec![0; blocks.len() * 4],
        scales: vec![f16::ZERO; blocks.len() * 2],
    };
    let low = cast_slice_mut::<i32, u8>(&mut planes.low).par_chunks_exact_mut(BLOCK / 2);
    let halves = planes.scales.par_chunks_exact_mut(2);
    let beside = cast_slice_mut::<i32, u8>(&mut planes.factors).par_chunks_exact_mut(16).zip(halves);
    let blocks = blocks.par_iter().with_min_len(SERIAL / BLOCK);
    let quants = |block: &B| block.quants().map(|quant| (quant + offset) as u8);
    blocks.clone().zip(low.zip(beside)).for_each(|(block, (low, (to_factors, scales)))| {
        pack(&quants(block).map(|quant| quant & 0xf), 4, low);
        let (factors, numbers) = factors(block);
        to_factors.copy_from_slice(&factors);
        scales.copy_from_slice(&numbers.map(f16::from_le_bytes));
    });
    if HIGH > 0 {
        let high = cast_slice_mut::<i32, u8>(&mut planes.high).par_chunks_exact_mut(BLOCK * HIGH / 8);
        blocks.zip(high).for_each(|(block, high)| pack(&quants(block).map(|quant| quant >> 4), HIGH, high));
    }
    planes
}

/// Numbers of so many bits, the first in the lowest bits.
fn pack(numbers: &[u8], bits: usize, to: &mut [u8]) {
    for (to, numbers) in to.iter_mut().zip(numbers.chunks_exact(8 / bits)) {
        *to = numbers.iter().rev().fold(0, |byte, number| byte.unbounded_shl(bits as u32) | number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        quant::{dequantize, dequantize_blocks},
        testing::random_blocks,
    };

    /// Number `at` of `bits` bits in some words.
    fn nth(words: &[i32], at: usize, bits: usize) -> i32 {
        words[at * bits / 32] >> (at * bits % 32) & ((1 << bits) - 1)
    }

    #[test]
    fn what_comes_apart_is_the_same_numbers() {
        let columns = 768;
        for format in BlockFormat::ALL {
            let blocks = random_blocks(5, format, columns, 3);
            let matrix = BlockMatrix::new(format, &blocks, columns);
            let mut numbers = vec![0.0; 5 * columns];
            dequantize_blocks(matrix, &mut numbers);
            let again = match Apart::of(matrix) {
                None => {
                    assert!(!format.comes_apart());
                    continue;
                }
                Some(Apart::Planar(quantized)) => {
                    let mut again = vec![0.0; 5 * columns];
                    dequantize(quantized.view(), &mut again);
                    again
                }
                Some(Apart::Planes(planes)) => (0..5 * columns)
                    .map(|at| {
                        let bits = BlockPlanes::high_bits(format).unwrap();
                        let high = if bits == 0 { 0 } else { nth(&planes.high, at, bits) };
                        let quant = (nth(&planes.low, at, 4) | high << 4) as f32;
                        let (block, group) = (at / BLOCK, at % BLOCK / 32);
                        let factor = |i: usize| nth(&planes.factors, 16 * block + i, 8) as f32;
                        let [d, dmin] = [0, 1].map(|i| planes.scales[2 * block + i].to_f32());
                        match format {
                            BlockFormat::Q6K => d * (factor(at % BLOCK / 16) - 128.0) * (quant - 32.0),
                            _ => d * factor(group) * quant - dmin * factor(8 + group),
                        }
                    })
                    .collect(),
            };
            assert!(format.comes_apart());
            assert_eq!(numbers, again, "{format}");
        }
    }
}
