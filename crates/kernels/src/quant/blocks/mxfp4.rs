//! MXFP4 (OCP Microscaling Formats 1.0, section 5.3) in blocks: a power of two, and 32 numbers of 4 bits, e2m1.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, pack,
    search::{Codes, FACTORS, least_error},
    unpack,
};
use crate::quant::{E2M1, quantize::max_magnitude};

/// The quants: [`E2M1`].
pub(crate) struct E2m1;

impl Codes for E2m1 {
    const LOW: f32 = -12.0;
    const HIGH: f32 = 12.0;

    #[inline(always)]
    fn nearest(number: f32) -> f32 {
        let mut nearest = 0.0;
        for i in 1..8 {
            let (below, above) = (f32::from(E2M1[i - 1]), f32::from(E2M1[i]));
            let middle = (below + above) / 2.0;
            // Of two that are equally near the one with a last bit of 0, as sums are rounded.
            let is_beyond = if i % 2 == 0 { number.abs() >= middle } else { number.abs() > middle };
            nearest = if is_beyond { above } else { nearest };
        }
        nearest.copysign(number)
    }

    #[inline(always)]
    fn bits(code: f32) -> u8 {
        let magnitude: u8 = E2M1[1..8].iter().map(|above| u8::from(code.abs() >= f32::from(*above))).sum();
        magnitude | u8::from(code < 0.0) << 3
    }
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Mxfp4 {
    /// The power's exponent, with an offset of 127.
    pub(crate) e: u8,
    pub(crate) qs: [u8; 16],
}

/// Half the power of two, since quants are twice the numbers. The two least are no normal numbers.
#[inline(always)]
pub(crate) fn half_power(e: u8) -> f32 {
    f32::from_bits(match e {
        0 => 1 << 21,
        1 => 1 << 22,
        e => u32::from(e - 1) << 23,
    })
}

impl Block<32, 1> for Mxfp4 {
    #[inline(always)]
    fn quants(&self) -> [i8; 32] {
        let mut bits = [0; 32];
        unpack::<16, 4>(&self.qs, 0, &mut bits);
        bits.map(|bits| E2M1[usize::from(bits)])
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 1] {
        [half_power(self.e)]
    }

    /// The power by which the largest magnitude is a number from 4 on, or one of its neighbours: above it nothing is clipped.
    #[inline(always)]
    fn quantize(numbers: &[f32; 32]) -> Option<Self> {
        let exponent = (max_magnitude(numbers) >> 23) as u8;
        // No less than 2, whose half is a normal number.
        let first = exponent.saturating_sub(3).max(2);
        let powers: [u8; FACTORS] = std::array::from_fn(|i| first + i as u8 % 3);
        // By another power, so that squares are in range.
        let unit = half_power(first + 1);
        let scales = powers.map(|power| half_power(power) / unit);
        let best = least_error::<E2m1, 32>(&numbers.map(|number| number / unit), &scales, &[0.0; FACTORS]);
        let mut block = Self { e: powers[best], ..Self::zeroed() };
        let scale = half_power(block.e);
        pack::<16, 4>(&numbers.map(|number| E2m1::bits(E2m1::nearest(number / scale))), 0, &mut block.qs);
        Some(block)
    }
}
