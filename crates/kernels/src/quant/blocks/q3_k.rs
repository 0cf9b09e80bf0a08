//! Q3_K: 16 groups of 16 numbers from -4 to 3, whose highest bits stand together, with 6 bits for a group's scale.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, Half, less, less_32, number, pack,
    search::{Integers, signed_groups},
    unpack,
};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q3K {
    pub(crate) hmask: [u8; 32],
    pub(crate) qs: [u8; 64],
    /// 8 bytes with the low 4 bits of the scales, 4 bytes with the high 2.
    pub(crate) scales: [u8; 12],
    pub(crate) d: Half,
}

impl Q3K {
    /// Each group's scale by `d`.
    #[inline(always)]
    pub(crate) fn factors(&self) -> [i8; 16] {
        const LOW: u64 = 0x0f0f_0f0f_0f0f_0f0f;
        let [a, b, high] = bytemuck::cast::<_, [[u8; 4]; 3]>(self.scales).map(u32::from_le_bytes);
        let low = u64::from(a) | u64::from(b) << 32;
        // Four scales have their high bits in one place of the four bytes.
        let high = |shift: u32| u64::from(high >> shift & 0x0303_0303) << 4;
        let first = low & LOW | high(0) | high(2) << 32;
        let last = low >> 4 & LOW | high(4) | high(6) << 32;
        bytemuck::cast([less_32(first), less_32(last)])
    }
}

impl Block<256, 16> for Q3K {
    #[inline(always)]
    fn quants(&self) -> [i8; 256] {
        let mut bits = [0; 256];
        unpack::<32, 2>(&self.qs, 0, &mut bits);
        unpack::<32, 1>(&self.hmask, 2, &mut bits);
        less(bits, 4)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 16] {
        let d = number(self.d);
        self.factors().map(|factor| d * f32::from(factor))
    }

    #[inline(always)]
    fn quantize(numbers: &[f32; 256]) -> Option<Self> {
        let found = signed_groups::<Integers<-4, 3>, Integers<-32, 31>, 256, 16, 16>(numbers)?;
        let mut block = Self { d: found.d, ..Self::zeroed() };
        pack::<32, 2>(&found.quants, 0, &mut block.qs);
        pack::<32, 1>(&found.quants, 2, &mut block.hmask);
        let (low, high) = block.scales.split_at_mut(8);
        pack::<8, 4>(&found.factors, 0, low);
        pack::<4, 2>(&found.factors, 4, high);
        Some(block)
    }
}
