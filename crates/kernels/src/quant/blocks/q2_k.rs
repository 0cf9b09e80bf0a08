//! Q2_K: 16 groups of 16 numbers of 2 bits, with 4 bits for a group's scale and 4 for its min.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, Half, less, number, pack,
    search::{Integers, groups_with_mins},
    unpack,
};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q2K {
    /// A scale in the low half, a min in the high one.
    pub(crate) scales: [u8; 16],
    pub(crate) qs: [u8; 64],
    pub(crate) d: Half,
    pub(crate) dmin: Half,
}

impl Block<256, 16> for Q2K {
    const MINS: bool = true;

    #[inline(always)]
    fn quants(&self) -> [i8; 256] {
        let mut bits = [0; 256];
        unpack::<32, 2>(&self.qs, 0, &mut bits);
        less(bits, 0)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 16] {
        let d = number(self.d);
        self.scales.map(|both| d * f32::from(both & 0xf))
    }

    #[inline(always)]
    fn mins(&self) -> [f32; 16] {
        let dmin = number(self.dmin);
        self.scales.map(|both| dmin * f32::from(both >> 4))
    }

    #[inline(always)]
    fn quantize(numbers: &[f32; 256]) -> Option<Self> {
        let found = groups_with_mins::<Integers<0, 3>, Integers<0, 15>, 256, 16, 16>(numbers)?;
        let mut block = Self { scales: found.factors, d: found.d, dmin: found.dmin, ..Self::zeroed() };
        for (both, min) in block.scales.iter_mut().zip(found.min_factors) {
            *both |= min << 4;
        }
        pack::<32, 2>(&found.quants, 0, &mut block.qs);
        Some(block)
    }
}
