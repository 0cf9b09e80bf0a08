//! Activations: vectors in 8 bits, so that their product with a group of quantized weights is an integer dot product, and
//! exact.

use bytemuck::{Pod, Zeroable};

use super::bytes::SPAN;
use crate::quant::{GROUP_SIZE, ROUND, max_magnitude};

/// The order of a vector's quants in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By column.
    Plain,
    /// In each group the even columns, then the odd ones: the order in which bytes of two 4-bit quants split into their lower
    /// and upper halves.
    EvenOdd,
}

/// Eight groups of a vector as integers of -127 to 127 and, for each group of 32 along the columns, a scale: the group's
/// largest magnitude / 127. The format of [`crate::quant`] with float32 scales.
///
/// A number is off by at most half a scale (times 1 + 2^-15, as the quotient is rounded too). Where a group's scale is below
/// [`NEGLIGIBLE`] its quants are zero. A group with an infinity or NaN has the scale NaN, and so has every product with its
/// vector.
///
/// All formats of weights are multiplied with these, also those that share factors among 256 columns: a scale for so many
/// activations would be some times as large where one of them is.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Span {
    pub quants: [i8; SPAN * GROUP_SIZE],
    pub scales: [f32; SPAN],
    /// The sum of each group's numbers, as they are quantized, ...
    pub sums: [f32; SPAN],
    /// ... and of the first and of the last 16 of its columns.
    pub half_sums: [f32; 2 * SPAN],
    /// What takes a zero point of 128 off products: of each group, and of either half.
    pub offsets: [i32; SPAN],
    pub half_offsets: [i32; 2 * SPAN],
    /// Whole cache lines.
    pub padding: [i32; SPAN],
}

/// A scale whose reciprocal may not be a float32 number.
const NEGLIGIBLE: f32 = 1e-37;

impl Span {
    /// Rounds `x`, which may be fewer numbers than a span has: the rest are zeros.
    #[inline(always)]
    pub fn fill(&mut self, x: &[f32], order: Order) {
        let mut padded = [0.0; SPAN * GROUP_SIZE];
        let x = <&[f32; SPAN * GROUP_SIZE]>::try_from(x).unwrap_or_else(|_| {
            padded[..x.len()].copy_from_slice(x);
            &padded
        });
        let x = x.as_chunks::<GROUP_SIZE>().0;
        let (mut largest, mut inverses) = ([0.0; SPAN], [0.0; SPAN]);
        for (largest, x) in largest.iter_mut().zip(x) {
            *largest = f32::from_bits(max_magnitude(x));
        }
        for ((scale, inverse), largest) in self.scales.iter_mut().zip(&mut inverses).zip(largest) {
            *scale = largest / 127.0;
            *inverse = if *scale < NEGLIGIBLE { 0.0 } else { 127.0 / largest };
            *scale = if largest.is_finite() { *scale } else { f32::NAN };
        }
        let quants = self.quants.as_chunks_mut::<GROUP_SIZE>().0;
        for ((quants, half_offsets), (x, inverse)) in
            quants.iter_mut().zip(self.half_offsets.as_chunks_mut::<2>().0).zip(x.iter().zip(inverses))
        {
            let mut rounded = [0; GROUP_SIZE];
            for (rounded, x) in rounded.iter_mut().zip(x) {
                *rounded = (x * inverse + ROUND).to_bits();
            }
            for (quant, rounded) in quants.iter_mut().zip(rounded) {
                *quant = rounded as i8;
            }
            for (offset, half) in half_offsets.iter_mut().zip(rounded.as_chunks::<{ GROUP_SIZE / 2 }>().0) {
                *offset = -128 * sum(half.map(|rounded| i32::from(rounded as i8)));
            }
            if order == Order::EvenOdd {
                let mut sorted = [0; GROUP_SIZE];
                let (even, odd) = sorted.split_at_mut(GROUP_SIZE / 2);
                for ((even, odd), pair) in even.iter_mut().zip(odd).zip(quants.as_chunks().0) {
                    [*even, *odd] = *pair;
                }
                *quants = sorted;
            }
        }
        for at in 0..SPAN {
            let [first, second] = [self.half_offsets[2 * at], self.half_offsets[2 * at + 1]];
            self.offsets[at] = first + second;
            self.sums[at] = self.scales[at] * ((first + second) / -128) as f32;
            self.half_sums[2 * at] = self.scales[at] * (first / -128) as f32;
            self.half_sums[2 * at + 1] = self.scales[at] * (second / -128) as f32;
        }
        self.padding = [0; SPAN];
    }
}

/// By halves, as vectors do.
#[inline(always)]
fn sum(mut numbers: [i32; GROUP_SIZE / 2]) -> i32 {
    let mut half = numbers.len() / 2;
    while half > 0 {
        for i in 0..half {
            numbers[i] += numbers[half + i];
        }
        half /= 2;
    }
    numbers[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gemv::tiles::Tiles, testing::random};

    #[test]
    fn activations_are_within_half_a_scale() {
        for columns in [1, 31, 32, 33, 512, 700, 1000] {
            let mut x = random(3 * columns, 3);
            for (i, x) in x.iter_mut().enumerate() {
                *x *= 2f32.powi((i / 40 % 60) as i32 - 30);
            }
            let plain = Tiles::new(&x, columns, Order::Plain, 1);
            let sorted = Tiles::new(&x, columns, Order::EvenOdd, 1);
            for (x, (plain, sorted)) in x.chunks(columns).zip(plain.iter().zip(sorted.iter())) {
                assert_eq!(plain.spans.len(), columns.div_ceil(SPAN * GROUP_SIZE));
                for (i, (plain, sorted)) in plain.spans.iter().zip(sorted.spans).enumerate() {
                    for group in 0..SPAN {
                        let columns = [0, 1].map(|end| columns.min((SPAN * i + group + end) * GROUP_SIZE));
                        assert_group(&x[columns[0]..columns[1]], plain, sorted, group);
                    }
                }
            }
        }
    }

    fn assert_group(x: &[f32], plain: &Span, sorted: &Span, group: usize) {
        let (quants, scale) = (&plain.quants[group * GROUP_SIZE..][..GROUP_SIZE], plain.scales[group]);
        let largest = x.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
        assert_eq!(scale, largest / 127.0);
        let sum = |quants: &[i8]| -> i32 { quants.iter().map(|quant| i32::from(*quant)).sum() };
        assert_eq!(plain.sums[group], scale * sum(quants) as f32);
        assert_eq!(plain.offsets[group], -128 * sum(quants));
        for (half, quants) in quants.chunks(GROUP_SIZE / 2).enumerate() {
            assert_eq!(plain.half_sums[2 * group + half], scale * sum(quants) as f32);
            assert_eq!(plain.half_offsets[2 * group + half], -128 * sum(quants));
        }
        for (i, quant) in quants.iter().enumerate() {
            let x = f64::from(*x.get(i).unwrap_or(&0.0));
            let scale = f64::from(scale);
            let bound = scale / 2.0 * (1.0 + 2f64.powi(-15));
            assert!((x - f64::from(*quant) * scale).abs() <= bound);
            assert!(*quant != -128);
        }
        assert_eq!((sorted.scales, sorted.sums), (plain.scales, plain.sums));
        let places = (0..GROUP_SIZE).map(|i| i / 2 + i % 2 * (GROUP_SIZE / 2));
        let sorted = &sorted.quants[group * GROUP_SIZE..];
        assert!(places.map(|place| sorted[place]).eq(quants.iter().copied()));
    }

    #[test]
    fn negligible_activations_are_zeros_and_larger_ones_are_not() {
        let first = |x: f32| Tiles::new(&[x, -x], 2, Order::Plain, 1).tile(0).spans[0].quants;
        for tiny in [f32::from_bits(1), 1e-39, 1.2e-35] {
            assert_eq!(first(tiny)[..2], [0, 0]);
        }
        assert_eq!(first(2e-35)[..2], [127, -127]);
    }

    #[test]
    fn what_is_not_finite_has_no_scale() {
        for x in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let tiles = Tiles::new(&[1.0, x, 0.5], 3, Order::Plain, 1);
            let span = tiles.tile(0).spans[0];
            assert!(span.scales[0].is_nan() && span.sums[0].is_nan() && span.scales[1] == 0.0);
        }
    }
}
