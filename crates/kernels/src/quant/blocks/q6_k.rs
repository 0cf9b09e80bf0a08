//! Q6_K: 16 groups of 16 numbers from -32 to 31, whose high 2 bits stand apart, with 8 bits for a group's scale.

use bytemuck::{Pod, Zeroable};

use super::{Block, Half, less, number, unpack};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q6K {
    ql: [u8; 128],
    qh: [u8; 64],
    scales: [i8; 16],
    d: Half,
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
}
