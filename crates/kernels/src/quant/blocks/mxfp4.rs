//! MXFP4 (OCP Microscaling Formats 1.0, section 5.3) in blocks: a power of two, and 32 numbers of 4 bits, e2m1.

use bytemuck::{Pod, Zeroable};

use super::{Block, unpack};
use crate::quant::E2M1;

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
    let least = 1 << 21 << (e & 1);
    f32::from_bits(if e < 2 { least } else { (u32::from(e) << 23) - (1 << 23) })
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
}
