//! Vectors that quantized weights are multiplied with, in 8 bits themselves: then a block's product is an integer dot
//! product, and exact.

use rayon::prelude::*;

use crate::codes::{BLOCK, ROUND, blocks, largest};

/// Vectors are filled up with zeros to a multiple of so many blocks: what any instruction set takes scales of at a time.
pub const SPAN: usize = 16;

/// Bytes that vectors of codes are multiples of, and begin at.
const LINE: usize = 64;

/// Numbers that one thread quantizes before another is awake.
const SERIAL: usize = 1 << 15;

/// In which order a vector's codes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Theirs.
    Plain,
    /// Of twice so many codes in turn those with even numbers, then those with odd ones: as many bytes of 4-bit codes fall
    /// apart into their lower and upper halves in this order. A divisor of `SPAN * BLOCK / 2`.
    EvenOdd(usize),
}

/// `x` `[n, columns]` as integers of -127 to 127 and, for each block of 32 along the columns, the scale that they are
/// multiples of, its largest magnitude by 127; the scheme of [`crate::codes`] with float32 scales.
///
/// A number is off by at most half a scale (times 1 + 2^-15 for the rounding of their quotient). Where a block's scale is
/// below [`NEGLIGIBLE`] its codes are zero. A block with an infinity or NaN has the scale NaN, which every product with
/// its vector then is.
pub struct Activations {
    /// From `first` on.
    codes: Vec<i8>,
    first: usize,
    /// Of each vector its scales and then its sums.
    factors: Vec<f32>,
    /// Of each vector.
    blocks: usize,
}

/// A scale whose reciprocal may not be a float32 number.
const NEGLIGIBLE: f32 = 1e-37;

impl Activations {
    /// `columns` is at least one.
    pub fn new(x: &[f32], columns: usize, order: Order) -> Self {
        let n = x.len() / columns;
        let blocks = blocks(columns).next_multiple_of(SPAN);
        let mut codes = vec![0; n * blocks * BLOCK + LINE];
        let first = codes.as_ptr().align_offset(LINE).min(LINE);
        let mut factors = vec![0.0; n * 2 * blocks];

        let each = &mut codes[first..][..n * blocks * BLOCK];
        if n * columns < 2 * SERIAL {
            let to = each.chunks_mut(blocks * BLOCK);
            let to = to.zip(factors.chunks_mut(2 * blocks));
            for (x, (codes, factors)) in x.chunks(columns).zip(to) {
                quantize(x, order, codes, factors);
            }
        } else {
            let to = each.par_chunks_mut(blocks * BLOCK);
            let to = to.zip(factors.par_chunks_mut(2 * blocks));
            x.par_chunks(columns)
                .zip(to)
                .with_min_len(SERIAL / columns)
                .for_each(|(x, (codes, factors))| quantize(x, order, codes, factors));
        }
        Self {
            codes,
            first,
            factors,
            blocks,
        }
    }

    #[inline(always)]
    pub fn vector(&self, vector: usize) -> Quantized<'_> {
        let codes = self.blocks * BLOCK;
        let factors = &self.factors[vector * 2 * self.blocks..][..2 * self.blocks];
        let (scales, sums) = factors.split_at(self.blocks);
        Quantized {
            codes: &self.codes[self.first + vector * codes..][..codes],
            scales,
            sums,
        }
    }
}

/// One vector's blocks, or some of them.
#[derive(Clone, Copy)]
pub struct Quantized<'a> {
    /// [`BLOCK`] of each.
    pub codes: &'a [i8],
    pub scales: &'a [f32],
    /// Those of the numbers that the codes stand for.
    pub sums: &'a [f32],
}

impl Quantized<'_> {
    #[inline(always)]
    pub(super) fn blocks(&self, first: usize, blocks: usize) -> Self {
        Self {
            codes: &self.codes[first * BLOCK..][..blocks * BLOCK],
            scales: &self.scales[first..][..blocks],
            sums: &self.sums[first..][..blocks],
        }
    }
}

fn quantize(x: &[f32], order: Order, codes: &mut [i8], factors: &mut [f32]) {
    let (scales, sums) = factors.split_at_mut(factors.len() / 2);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = x.as_chunks::<BLOCK>();
            let mut last = [0.0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            let last = if rest.is_empty() { None } else { Some(&last) };

            let blocks = || whole.iter().chain(last);
            for (scale, x) in scales.iter_mut().zip(blocks()) {
                *scale = f32::from_bits(largest(x));
            }
            let places = codes.as_chunks_mut::<BLOCK>().0.iter_mut().zip(sums);
            for ((x, scale), (codes, sum)) in blocks().zip(&mut *scales).zip(places) {
                let largest = *scale;
                *scale = largest / 127.0;
                let inverse = match *scale < NEGLIGIBLE {
                    true => 0.0,
                    false => 127.0 / largest,
                };
                let mut rounded = [0; BLOCK];
                for (rounded, x) in rounded.iter_mut().zip(x) {
                    *rounded = (x * inverse + ROUND).to_bits();
                }
                for (code, rounded) in codes.iter_mut().zip(rounded) {
                    *code = rounded as i8;
                }
                if !largest.is_finite() {
                    *scale = f32::NAN;
                }
                let codes: i32 = codes.iter().map(|code| i32::from(*code)).sum();
                *sum = *scale * codes as f32;
            }
            if let Order::EvenOdd(width) = order {
                for group in codes.chunks_exact_mut(2 * width) {
                    let mut sorted = [0; SPAN * BLOCK];
                    let (even, odd) = sorted[..2 * width].split_at_mut(width);
                    for ((even, odd), pair) in even.iter_mut().zip(odd).zip(group.as_chunks().0) {
                        [*even, *odd] = *pair;
                    }
                    group.copy_from_slice(&sorted[..2 * width]);
                }
            }
        },
    );
}
