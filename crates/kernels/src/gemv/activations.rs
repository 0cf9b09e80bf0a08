//! Activations: vectors in 8 bits, so that their product with a group of quantized weights is an integer dot product, and
//! exact.

use rayon::prelude::*;

use crate::quant::{GROUP_SIZE, ROUND, groups, max_magnitude};

/// Vectors are padded with zeros to a multiple of this many groups: any instruction set takes the scales of a divisor of it
/// at a time.
pub const SPAN: usize = 16;

/// Bytes that a vector's quants are aligned to.
const LINE: usize = 64;

/// Numbers that one thread quantizes before another wakes up.
const SERIAL: usize = 1 << 15;

/// The order of a vector's quants in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By column.
    Plain,
    /// For each `2 n` columns the even ones, then the odd ones: the order in which `n` bytes of 4-bit quants split into their
    /// lower and upper halves. `n` is a divisor of `SPAN * GROUP_SIZE / 2`.
    EvenOdd(usize),
}

/// `x` `[n, columns]` as integers of -127 to 127 and, for each group of 32 along the columns, a scale: the group's largest
/// magnitude / 127. The format of [`crate::quant`] with float32 scales.
///
/// A number is off by at most half a scale (times 1 + 2^-15, as the quotient is rounded too). Where a group's scale is below
/// [`NEGLIGIBLE`] its quants are zero. A group with an infinity or NaN has the scale NaN, and so has every product with its
/// vector.
pub struct Activations {
    /// From `first` on, which is aligned.
    quants: Vec<i8>,
    first: usize,
    /// Of each vector the scales, then the sums.
    factors: Vec<f32>,
    /// Groups of a vector.
    groups: usize,
}

/// A scale whose reciprocal may not be a float32 number.
const NEGLIGIBLE: f32 = 1e-37;

impl Activations {
    /// `columns` is at least one.
    pub fn new(x: &[f32], columns: usize, order: Order) -> Self {
        let n = x.len() / columns;
        let groups = groups(columns).next_multiple_of(SPAN);
        let mut quants = vec![0; n * groups * GROUP_SIZE + LINE];
        let first = quants.as_ptr().align_offset(LINE).min(LINE);
        let mut factors = vec![0.0; n * 2 * groups];

        let each = &mut quants[first..][..n * groups * GROUP_SIZE];
        if n * columns < 2 * SERIAL {
            let to = each.chunks_mut(groups * GROUP_SIZE);
            let to = to.zip(factors.chunks_mut(2 * groups));
            for (x, (quants, factors)) in x.chunks(columns).zip(to) {
                quantize(x, order, quants, factors);
            }
        } else {
            let to = each.par_chunks_mut(groups * GROUP_SIZE);
            let to = to.zip(factors.par_chunks_mut(2 * groups));
            x.par_chunks(columns)
                .zip(to)
                .with_min_len(SERIAL / columns)
                .for_each(|(x, (quants, factors))| quantize(x, order, quants, factors));
        }
        Self { quants, first, factors, groups }
    }

    #[inline(always)]
    pub fn vector(&self, vector: usize) -> Groups<'_> {
        let quants = self.groups * GROUP_SIZE;
        let factors = &self.factors[vector * 2 * self.groups..][..2 * self.groups];
        let (scales, sums) = factors.split_at(self.groups);
        Groups { quants: &self.quants[self.first + vector * quants..][..quants], scales, sums }
    }
}

/// Some groups of one vector.
#[derive(Clone, Copy)]
pub struct Groups<'a> {
    /// [`GROUP_SIZE`] of each group.
    pub quants: &'a [i8],
    pub scales: &'a [f32],
    /// The sum of each group's numbers, as they are quantized.
    pub sums: &'a [f32],
}

impl Groups<'_> {
    #[inline(always)]
    pub(super) fn range(&self, first: usize, len: usize) -> Self {
        Self {
            quants: &self.quants[first * GROUP_SIZE..][..len * GROUP_SIZE],
            scales: &self.scales[first..][..len],
            sums: &self.sums[first..][..len],
        }
    }
}

fn quantize(x: &[f32], order: Order, quants: &mut [i8], factors: &mut [f32]) {
    let (scales, sums) = factors.split_at_mut(factors.len() / 2);
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let (whole, rest) = x.as_chunks::<GROUP_SIZE>();
            let mut last = [0.0; GROUP_SIZE];
            last[..rest.len()].copy_from_slice(rest);
            let last = if rest.is_empty() { None } else { Some(&last) };

            let groups = || whole.iter().chain(last);
            for (scale, x) in scales.iter_mut().zip(groups()) {
                *scale = f32::from_bits(max_magnitude(x));
            }
            let places = quants.as_chunks_mut::<GROUP_SIZE>().0.iter_mut().zip(sums);
            for ((x, scale), (quants, sum)) in groups().zip(&mut *scales).zip(places) {
                let largest = *scale;
                *scale = largest / 127.0;
                let inverse = if *scale < NEGLIGIBLE { 0.0 } else { 127.0 / largest };
                let mut rounded = [0; GROUP_SIZE];
                for (rounded, x) in rounded.iter_mut().zip(x) {
                    *rounded = (x * inverse + ROUND).to_bits();
                }
                for (quant, rounded) in quants.iter_mut().zip(rounded) {
                    *quant = rounded as i8;
                }
                if !largest.is_finite() {
                    *scale = f32::NAN;
                }
                let quants: i32 = quants.iter().map(|quant| i32::from(*quant)).sum();
                *sum = *scale * quants as f32;
            }
            if let Order::EvenOdd(width) = order {
                for span in quants.chunks_exact_mut(2 * width) {
                    let mut sorted = [0; SPAN * GROUP_SIZE];
                    let (even, odd) = sorted[..2 * width].split_at_mut(width);
                    for ((even, odd), pair) in even.iter_mut().zip(odd).zip(span.as_chunks().0) {
                        [*even, *odd] = *pair;
                    }
                    span.copy_from_slice(&sorted[..2 * width]);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn activations_are_within_half_a_scale() {
        for columns in [1, 31, 32, 33, 512, 700, 1000] {
            let mut x = random(3 * columns, 3);
            for (i, x) in x.iter_mut().enumerate() {
                *x *= 2f32.powi((i / 40 % 60) as i32 - 30);
            }
            let plain = Activations::new(&x, columns, Order::Plain);
            for (i, x) in x.chunks(columns).enumerate() {
                let vector = plain.vector(i);
                assert_eq!(vector.scales.len() % SPAN, 0);
                let groups = vector.quants.chunks(GROUP_SIZE).zip(vector.scales.iter().zip(vector.sums));
                for (group, (quants, (scale, sum))) in groups.enumerate() {
                    let x = &x[columns.min(group * GROUP_SIZE)..columns.min((group + 1) * GROUP_SIZE)];
                    let largest = x.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                    assert_eq!(*scale, largest / 127.0);
                    let codes_sum: i32 = quants.iter().map(|quant| i32::from(*quant)).sum();
                    assert_eq!(*sum, *scale * codes_sum as f32);
                    for (i, quant) in quants.iter().enumerate() {
                        let x = f64::from(*x.get(i).unwrap_or(&0.0));
                        let scale = f64::from(*scale);
                        let bound = scale / 2.0 * (1.0 + 2f64.powi(-15));
                        assert!((x - f64::from(*quant) * scale).abs() <= bound);
                        assert!(*quant != -128);
                    }
                }
                for width in [32, 64] {
                    let sorted = Activations::new(x, columns, Order::EvenOdd(width));
                    let sorted = sorted.vector(0);
                    assert_eq!((sorted.scales, sorted.sums), (vector.scales, vector.sums));
                    let spans = sorted.quants.chunks(2 * width).zip(vector.quants.chunks(2 * width));
                    for (sorted, plain) in spans {
                        let places = (0..2 * width).map(|i| i / 2 + i % 2 * width);
                        assert!(places.map(|place| sorted[place]).eq(plain.iter().copied()));
                    }
                }
            }
        }
    }

    #[test]
    fn negligible_activations_are_zeros_and_larger_ones_are_not() {
        for tiny in [f32::from_bits(1), 1e-39, 1.2e-35] {
            let activations = Activations::new(&[tiny, -tiny], 2, Order::Plain);
            assert_eq!(activations.vector(0).quants[..2], [0, 0]);
        }
        let activations = Activations::new(&[2e-35, -2e-35], 2, Order::Plain);
        assert_eq!(activations.vector(0).quants[..2], [127, -127]);
    }
}
