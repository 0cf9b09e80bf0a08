//! IQ4_NL and IQ4_XS: 4 bits that name one of 16 numbers, which lie closer together near zero, where most weights are.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, Half, apart, less_32, number, pack,
    search::{Codes, Integers, signed, signed_groups},
    unpack,
};

/// The 16 numbers.
pub(crate) const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

struct Table;

impl Codes for Table {
    const LOW: f32 = IQ4[0] as f32;
    const HIGH: f32 = IQ4[15] as f32;
    const STEP: f32 = 8.0;

    #[inline(always)]
    fn nearest(number: f32) -> f32 {
        let mut nearest = Self::LOW;
        for i in 1..IQ4.len() {
            let (below, above) = (f32::from(IQ4[i - 1]), f32::from(IQ4[i]));
            nearest = if number > (below + above) / 2.0 { above } else { nearest };
        }
        nearest
    }

    #[inline(always)]
    fn bits(code: f32) -> u8 {
        IQ4[1..].iter().map(|above| u8::from(code >= f32::from(*above))).sum()
    }
}

/// 32 numbers with one scale.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Iq4Nl {
    pub(crate) d: Half,
    pub(crate) qs: [u8; 16],
}

/// 8 groups of 32 numbers, with 6 bits for a group's scale, from -32 to 31.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Iq4Xs {
    pub(crate) d: Half,
    /// The high 2 bits of each scale, ...
    scales_h: [u8; 2],
    /// ... and its low 4.
    scales_l: [u8; 4],
    pub(crate) qs: [u8; 128],
}

impl Block<32, 1> for Iq4Nl {
    #[inline(always)]
    fn quants(&self) -> [i8; 32] {
        let mut bits = [0; 32];
        unpack::<16, 4>(&self.qs, 0, &mut bits);
        bits.map(|bits| IQ4[usize::from(bits)])
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 1] {
        [number(self.d)]
    }

    #[inline(always)]
    fn quantize(numbers: &[f32; 32]) -> Option<Self> {
        let found = signed::<Table, 32>(numbers)?;
        let mut block = Self { d: found.d, ..Self::zeroed() };
        pack::<16, 4>(&found.quants, 0, &mut block.qs);
        Some(block)
    }
}

impl Iq4Xs {
    /// Each group's scale by `d`.
    #[inline(always)]
    pub(crate) fn factors(&self) -> [i8; 8] {
        let low = apart::<4>(u32::from_le_bytes(self.scales_l));
        let high = apart::<2>(u16::from_le_bytes(self.scales_h).into());
        less_32(low | high << 4)
    }
}

impl Block<256, 8> for Iq4Xs {
    #[inline(always)]
    fn quants(&self) -> [i8; 256] {
        let mut bits = [0; 256];
        unpack::<16, 4>(&self.qs, 0, &mut bits);
        bits.map(|bits| IQ4[usize::from(bits)])
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 8] {
        let d = number(self.d);
        self.factors().map(|factor| d * f32::from(factor))
    }

    #[inline(always)]
    fn quantize(numbers: &[f32; 256]) -> Option<Self> {
        let found = signed_groups::<Table, Integers<-32, 31>, 256, 8, 32>(numbers)?;
        let mut block = Self { d: found.d, ..Self::zeroed() };
        pack::<16, 4>(&found.quants, 0, &mut block.qs);
        pack::<1, 4>(&found.factors, 0, &mut block.scales_l);
        pack::<1, 2>(&found.factors, 4, &mut block.scales_h);
        Some(block)
    }
}
