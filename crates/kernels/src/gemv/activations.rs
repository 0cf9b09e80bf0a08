//! Activations: vectors in 8 bits, so that their product with a group of quantized weights is an integer dot product, and
//! exact.

use bytemuck::{cast_slice, cast_slice_mut};

use crate::{
    quant::{GROUP_SIZE, ROUND, groups, max_magnitude},
    scratch::Scratch,
};

/// Vectors are padded with zeros to a multiple of this many groups, a span.
const PADDED: usize = 8;

/// The order of a vector's quants in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By column.
    Plain,
    /// In each group the even columns, then the odd ones: the order in which bytes of two 4-bit quants split into their lower
    /// and upper halves.
    EvenOdd,
}

/// `x` `[n, columns]` as integers of -127 to 127 and, for each group of 32 along the columns, a scale: the group's largest
/// magnitude / 127. The format of [`crate::quant`] with float32 scales.
///
/// A number is off by at most half a scale (times 1 + 2^-15, as the quotient is rounded too). Where a group's scale is below
/// [`NEGLIGIBLE`] its quants are zero. A group with an infinity or NaN has the scale NaN, and so has every product with its
/// vector.
///
/// All formats of weights are multiplied with these, also those that share factors among 256 columns: a scale for so many
/// activations would be some times as large where one of them is.
pub struct Activations {
    /// Of each vector the quants, the scales, the sums, the sums of half groups and those of their quants.
    buffer: Scratch,
    n: usize,
    /// Groups of a vector.
    groups: usize,
}

/// A scale whose reciprocal may not be a float32 number.
const NEGLIGIBLE: f32 = 1e-37;

/// A group's numbers in units of float32: 32 bytes of quants, a scale, a sum, two sums of half groups and two of
/// their quants.
const UNITS: usize = GROUP_SIZE / 4 + 6;

impl Activations {
    /// `columns` is at least one.
    pub fn new(x: &[f32], columns: usize, order: Order) -> Self {
        let n = x.len() / columns;
        let groups = groups(columns).next_multiple_of(PADDED);
        let units = groups * UNITS;
        let mut buffer = Scratch::zeroed::<f32>(n * units);
        let to = &mut buffer.values_mut()[..n * units];
        for (x, to) in x.chunks(columns).zip(to.chunks_mut(units)) {
            quantize(x, order, to);
        }
        Self { buffer, n, groups }
    }

    /// Vectors.
    pub fn len(&self) -> usize {
        self.n
    }

    #[inline(always)]
    pub fn vector(&self, vector: usize) -> Groups<'_> {
        let units = self.groups * UNITS;
        let all: &[f32] = &self.buffer.values()[vector * units..][..units];
        let (quants, all) = all.split_at(self.groups * GROUP_SIZE / 4);
        let (scales, all) = all.split_at(self.groups);
        let (sums, all) = all.split_at(self.groups);
        let (half_sums, quant_sums) = all.split_at(2 * self.groups);
        Groups { quants: cast_slice(quants), scales, sums, half_sums, quant_sums: cast_slice(quant_sums) }
    }
}

/// The groups of one vector.
#[derive(Clone, Copy)]
pub struct Groups<'a> {
    /// [`GROUP_SIZE`] of each group.
    pub quants: &'a [i8],
    pub scales: &'a [f32],
    /// The sum of each group's numbers, as they are quantized, ...
    pub sums: &'a [f32],
    /// ... and of the first and of the last 16 of its columns.
    pub half_sums: &'a [f32],
    /// The same sums of the quants themselves.
    pub quant_sums: &'a [i32],
}

fn quantize(x: &[f32], order: Order, to: &mut [f32]) {
    let groups = to.len() / UNITS;
    let (quants, to) = to.split_at_mut(groups * GROUP_SIZE / 4);
    let (scales, to) = to.split_at_mut(groups);
    let (sums, to) = to.split_at_mut(groups);
    let (half_sums, quant_sums) = to.split_at_mut(2 * groups);
    let quant_sums: &mut [i32] = cast_slice_mut(quant_sums);
    let quants: &mut [i8] = cast_slice_mut(quants);
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
            let halves = half_sums.as_chunks_mut::<2>().0.iter_mut().zip(quant_sums.as_chunks_mut::<2>().0);
            let sums = sums.iter_mut().zip(halves);
            let places = quants.as_chunks_mut::<GROUP_SIZE>().0.iter_mut().zip(sums);
            for ((x, scale), (quants, (sum, (half_sums, quant_sums)))) in groups().zip(&mut *scales).zip(places) {
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
                let halves = quants.as_chunks::<16>().0;
                let half = |i: usize| -> i32 { halves[i].iter().map(|quant| i32::from(*quant)).sum() };
                let [first, second] = [half(0), half(1)];
                *half_sums = [*scale * first as f32, *scale * second as f32];
                *sum = *scale * (first + second) as f32;
                *quant_sums = [first, second];
                if order == Order::EvenOdd {
                    let mut sorted = [0; GROUP_SIZE];
                    let (even, odd) = sorted.split_at_mut(GROUP_SIZE / 2);
                    for ((even, odd), pair) in even.iter_mut().zip(odd).zip(quants.as_chunks().0) {
                        [*even, *odd] = *pair;
                    }
                    *quants = sorted;
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
                assert_eq!(vector.scales.len() % PADDED, 0);
                let groups = vector.quants.chunks(GROUP_SIZE).zip(vector.scales.iter().zip(vector.sums));
                for (group, (quants, (scale, sum))) in groups.enumerate() {
                    let x = &x[columns.min(group * GROUP_SIZE)..columns.min((group + 1) * GROUP_SIZE)];
                    let largest = x.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                    assert_eq!(*scale, largest / 127.0);
                    let codes_sum: i32 = quants.iter().map(|quant| i32::from(*quant)).sum();
                    assert_eq!(*sum, *scale * codes_sum as f32);
                    for (half, quants) in quants.chunks(16).enumerate() {
                        let codes_sum: i32 = quants.iter().map(|quant| i32::from(*quant)).sum();
                        assert_eq!(vector.half_sums[2 * group + half], *scale * codes_sum as f32);
                        assert_eq!(vector.quant_sums[2 * group + half], codes_sum);
                    }
                    for (i, quant) in quants.iter().enumerate() {
                        let x = f64::from(*x.get(i).unwrap_or(&0.0));
                        let scale = f64::from(*scale);
                        let bound = scale / 2.0 * (1.0 + 2f64.powi(-15));
                        assert!((x - f64::from(*quant) * scale).abs() <= bound);
                        assert!(*quant != -128);
                    }
                }
                let sorted = Activations::new(x, columns, Order::EvenOdd);
                let sorted = sorted.vector(0);
                assert_eq!((sorted.scales, sorted.sums), (vector.scales, vector.sums));
                for (sorted, plain) in sorted.quants.chunks(GROUP_SIZE).zip(vector.quants.chunks(GROUP_SIZE)) {
                    let places = (0..GROUP_SIZE).map(|i| i / 2 + i % 2 * (GROUP_SIZE / 2));
                    assert!(places.map(|place| sorted[place]).eq(plain.iter().copied()));
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
