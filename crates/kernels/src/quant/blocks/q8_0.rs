//! Q8_0: 32 numbers of 8 bits and one scale.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, Half, less, number,
    search::{Integers, nearest},
};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q8_0 {
    pub(crate) d: Half,
    pub(crate) qs: [i8; 32],
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

    /// The least scale that clips nothing: with so many quants others gain nothing.
    #[inline(always)]
    fn quantize(numbers: &[f32; 32]) -> Option<Self> {
        let found = nearest::<Integers<-127, 127>, 32>(numbers)?;
        Some(Self { d: found.d, qs: less(found.quants, 127) })
    }
}
