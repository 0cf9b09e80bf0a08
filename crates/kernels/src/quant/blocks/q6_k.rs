//! Q6_K: 16 groups of 16 numbers from -32 to 31, whose high 2 bits stand apart, with 8 bits for a group's scale.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, Half, less, number, pack,
    search::{Integers, signed_groups},
    unpack,
};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q6K {
    pub(crate) ql: [u8; 128],
    pub(crate) qh: [u8; 64],
    pub(crate) scales: [i8; 16],
    pub(crate) d: Half,
}

impl Block<256, 16> for Q6K {
    #[inline(always)]
    fn quants(&self) -> [i8; 256] {
        let mut bits = [0; 256];
        unpack::<64, 4>(&self.ql, 0, &mut bits);
        unpack::<32, 2>(&self.qh, 4, &mut bits);
        less(bits, 32)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 16] {
        let d = number(self.d);
        self.scales.map(|scale| d * f32::from(scale))
    }

    #[inline(always)]
    fn quantize(numbers: &[f32; 256]) -> Option<Self> {
        let found = signed_groups::<Integers<-32, 31>, Integers<-128, 127>, 256, 16, 16>(numbers)?;
        let scales = found.factors.map(|factor| factor.wrapping_sub(128) as i8);
        let mut block = Self { d: found.d, scales, ..Self::zeroed() };
        pack::<64, 4>(&found.quants, 0, &mut block.ql);
        pack::<32, 2>(&found.quants, 4, &mut block.qh);
        Some(block)
    }
}
