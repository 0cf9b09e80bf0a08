//! Q4_0, Q4_1, Q5_0, Q5_1: 32 numbers of 4 bits, or of 5 with the highest bits together, and one scale.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, Half, less, number, pack,
    search::{Integers, signed, with_min},
    unpack,
};

/// Quants from -8 to 7.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q4_0 {
    pub(crate) d: Half,
    pub(crate) qs: [u8; 16],
}

/// Quants from 0 to 15, and the number that a quant of 0 means.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q4_1 {
    pub(crate) d: Half,
    pub(crate) m: Half,
    pub(crate) qs: [u8; 16],
}

/// Quants from -16 to 15.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q5_0 {
    pub(crate) d: Half,
    pub(crate) qh: [u8; 4],
    pub(crate) qs: [u8; 16],
}

/// Quants from 0 to 31, and the number that a quant of 0 means.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q5_1 {
    pub(crate) d: Half,
    pub(crate) m: Half,
    pub(crate) qh: [u8; 4],
    pub(crate) qs: [u8; 16],
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

#[inline(always)]
fn low_bits(quants: &[u8; 32]) -> [u8; 16] {
    let mut qs = [0; 16];
    pack::<16, 4>(quants, 0, &mut qs);
    qs
}

#[inline(always)]
fn fifth_bits(quants: &[u8; 32]) -> [u8; 4] {
    let bits = quants.iter().enumerate().map(|(i, quant)| u32::from(quant >> 4) << i);
    bits.fold(0, |all, bit| all | bit).to_le_bytes()
}

/// What is added is the negative of what is subtracted.
#[inline(always)]
fn negative([low, high]: Half) -> Half {
    [low, high ^ 0x80]
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

    #[inline(always)]
    fn quantize(numbers: &[f32; 32]) -> Option<Self> {
        let found = signed::<Integers<-8, 7>, 32>(numbers)?;
        Some(Self { d: found.d, qs: low_bits(&found.quants) })
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

    #[inline(always)]
    fn quantize(numbers: &[f32; 32]) -> Option<Self> {
        let found = with_min::<Integers<0, 15>, 32>(numbers)?;
        Some(Self { d: found.d, m: negative(found.dmin), qs: low_bits(&found.quants) })
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

    #[inline(always)]
    fn quantize(numbers: &[f32; 32]) -> Option<Self> {
        let found = signed::<Integers<-16, 15>, 32>(numbers)?;
        Some(Self { d: found.d, qh: fifth_bits(&found.quants), qs: low_bits(&found.quants) })
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

    #[inline(always)]
    fn quantize(numbers: &[f32; 32]) -> Option<Self> {
        let found = with_min::<Integers<0, 31>, 32>(numbers)?;
        let (m, quants) = (negative(found.dmin), &found.quants);
        Some(Self { d: found.d, m, qh: fifth_bits(quants), qs: low_bits(quants) })
    }
}
