//! MXFP4 (OCP Microscaling Formats 1.0, section 5.3) in blocks: a power of two, and 32 numbers of 4 bits, e2m1.

use bytemuck::{Pod, Zeroable};

use super::{Block, unpack};
use crate::quant::E2M1;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Mxfp4 {
    /// The power's exponent, with an offset of 127.
    e: u8,
    qs: [u8; 16],
}

/// Half the power of two, since quants are twice the numbers. The two least are no normal numbers.
#[inline(always)]
fn half_power(e: u8) -> f32 {
    f32::from_bits(match e {
        0 => 1 << 21,
        1 => 1 << 22,
        _ => u32::from(e - 1) << 23,
    })
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
