//! Q8_0: 32 numbers of 8 bits and one scale.

use bytemuck::{Pod, Zeroable};

use super::{Block, Half, number};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q8_0 {
    d: Half,
    qs: [i8; 32],
}

impl Block<32, 1> for Q8_0 {
    #[inline(always)]
    fn quants(&self) -> [i8; 32] {
        self.qs
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 1] {
        [number(self.d)]
    }
}
