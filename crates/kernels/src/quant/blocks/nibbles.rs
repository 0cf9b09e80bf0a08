//! Q4_0, Q4_1, Q5_0, Q5_1: 32 numbers of 4 bits, or of 5 with the highest bits together, and one scale.

use bytemuck::{Pod, Zeroable};

use super::{Block, Half, less, number, unpack};

/// Quants from -8 to 7.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q4_0 {
    d: Half,
    qs: [u8; 16],
}

/// Quants from 0 to 15, and the number that a quant of 0 means.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q4_1 {
    d: Half,
    m: Half,
    qs: [u8; 16],
}

/// Quants from -16 to 15.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q5_0 {
    d: Half,
    qh: [u8; 4],
    qs: [u8; 16],
}

/// Quants from 0 to 31, and the number that a quant of 0 means.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q5_1 {
    d: Half,
    m: Half,
    qh: [u8; 4],
    qs: [u8; 16],
}

#[inline(always)]
fn four_bits(qs: &[u8; 16]) -> [u8; 32] {
    let mut bits = [0; 32];
    unpack::<16, 4>(qs, 0, &mut bits);
    bits
}

#[inline(always)]
fn five_bits(qs: &[u8; 16], qh: [u8; 4]) -> [u8; 32] {
    let high = u32::from_le_bytes(qh);
    let mut bits = four_bits(qs);
    for (i, bits) in bits.iter_mut().enumerate() {
        *bits |= ((high >> i & 1) as u8) << 4;
    }
    bits
}

impl Block<32, 1> for Q4_0 {
    #[inline(always)]
    fn quants(&self) -> [i8; 32] {
        less(four_bits(&self.qs), 8)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 1] {
        [number(self.d)]
    }
}

impl Block<32, 1> for Q4_1 {
    const MINS: bool = true;

    #[inline(always)]
    fn quants(&self) -> [i8; 32] {
        less(four_bits(&self.qs), 0)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 1] {
        [number(self.d)]
    }

    #[inline(always)]
    fn mins(&self) -> [f32; 1] {
        [-number(self.m)]
    }
}

impl Block<32, 1> for Q5_0 {
    #[inline(always)]
    fn quants(&self) -> [i8; 32] {
        less(five_bits(&self.qs, self.qh), 16)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 1] {
        [number(self.d)]
    }
}

impl Block<32, 1> for Q5_1 {
    const MINS: bool = true;

    #[inline(always)]
    fn quants(&self) -> [i8; 32] {
        less(five_bits(&self.qs, self.qh), 0)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 1] {
        [number(self.d)]
    }

    #[inline(always)]
    fn mins(&self) -> [f32; 1] {
        [-number(self.m)]
    }
}
