//! IQ4_NL and IQ4_XS: 4 bits that name one of 16 numbers, which lie closer together near zero, where most weights are.

use bytemuck::{Pod, Zeroable};

use super::{Block, Half, apart, less_32, number, unpack};

/// The 16 numbers.
pub(crate) const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

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
}
