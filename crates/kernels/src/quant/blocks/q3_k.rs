//! Q3_K: 16 groups of 16 numbers from -4 to 3, whose highest bits stand together, with 6 bits for a group's scale.

use bytemuck::{Pod, Zeroable};

use super::{Block, Half, less, number, unpack};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q3K {
    hmask: [u8; 32],
    qs: [u8; 64],
    /// 8 bytes with the low 4 bits of the scales, 4 bytes with the high 2.
    scales: [u8; 12],
    d: Half,
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
        let mut bits = [0; 16];
        let (low, high) = self.scales.split_at(8);
        unpack::<8, 4>(low, 0, &mut bits);
        unpack::<4, 2>(high, 4, &mut bits);
        let d = number(self.d);
        less(bits, 32).map(|scale| d * f32::from(scale))
    }
}
