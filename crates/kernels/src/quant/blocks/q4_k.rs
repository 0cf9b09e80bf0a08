//! Q4_K and Q5_K: 8 groups of 32 numbers of 4 bits, or of 5 with the highest bits together, with 6 bits for a group's scale
//! and 6 for its min.

use bytemuck::{Pod, Zeroable};

use super::{
    Block, Half, less, number, pack,
    search::{Integers, WithMins, groups_with_mins},
    unpack,
};

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q4K {
    pub(crate) factors: SixBits,
    pub(crate) qs: [u8; 128],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Q5K {
    pub(crate) factors: SixBits,
    pub(crate) qh: [u8; 32],
    pub(crate) qs: [u8; 128],
}

/// The scales and mins of both.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SixBits {
    pub(crate) d: Half,
    pub(crate) dmin: Half,
    /// Groups 0 to 3 in the low 6 bits. Above them the high 2 bits of groups 4 to 7, whose low 4 bits stand in `low`.
    pub(crate) scales: [u8; 4],
    mins: [u8; 4],
    /// Of groups 4 to 7: a scale in the low half, a min in the high one.
    low: [u8; 4],
}

impl SixBits {
    #[inline(always)]
    fn new(found: &WithMins<256, 8>) -> Self {
        let mut new = Self { d: found.d, dmin: found.dmin, ..Self::zeroed() };
        for i in 0..4 {
            let (scale, min) = (found.factors[i + 4], found.min_factors[i + 4]);
            new.scales[i] = found.factors[i] | scale >> 4 << 6;
            new.mins[i] = found.min_factors[i] | min >> 4 << 6;
            new.low[i] = scale & 0xf | min << 4;
        }
        new
    }

    /// The 6 bits of each scale.
    #[inline(always)]
    pub(crate) fn scale_bits(&self) -> [u8; 8] {
        six_bits(self.scales, u32::from_le_bytes(self.low) & 0x0f0f_0f0f)
    }

    /// The 6 bits of each min.
    #[inline(always)]
    pub(crate) fn min_bits(&self) -> [u8; 8] {
        six_bits(self.mins, u32::from_le_bytes(self.low) >> 4 & 0x0f0f_0f0f)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 8] {
        let d = number(self.d);
        self.scale_bits().map(|scale| d * f32::from(scale))
    }

    #[inline(always)]
    fn mins(&self) -> [f32; 8] {
        let dmin = number(self.dmin);
        self.min_bits().map(|min| dmin * f32::from(min))
    }
}

/// Four at a time, as bytes of a word.
#[inline(always)]
fn six_bits(first: [u8; 4], low: u32) -> [u8; 8] {
    let first = u32::from_le_bytes(first);
    bytemuck::cast([(first & 0x3f3f_3f3f).to_le(), (low | first >> 2 & 0x3030_3030).to_le()])
}

#[inline(always)]
fn four_bits(qs: &[u8; 128]) -> [u8; 256] {
    let mut bits = [0; 256];
    unpack::<32, 4>(qs, 0, &mut bits);
    bits
}

impl Block<256, 8> for Q4K {
    const MINS: bool = true;

    #[inline(always)]
    fn quants(&self) -> [i8; 256] {
        less(four_bits(&self.qs), 0)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 8] {
        self.factors.scales()
    }

    #[inline(always)]
    fn mins(&self) -> [f32; 8] {
        self.factors.mins()
    }

    #[inline(always)]
    fn quantize(numbers: &[f32; 256]) -> Option<Self> {
        let found = groups_with_mins::<Integers<0, 15>, Integers<0, 63>, 256, 8, 32>(numbers)?;
        let mut block = Self { factors: SixBits::new(&found), ..Self::zeroed() };
        pack::<32, 4>(&found.quants, 0, &mut block.qs);
        Some(block)
    }
}

impl Block<256, 8> for Q5K {
    const MINS: bool = true;

    #[inline(always)]
    fn quants(&self) -> [i8; 256] {
        let mut bits = four_bits(&self.qs);
        unpack::<32, 1>(&self.qh, 4, &mut bits);
        less(bits, 0)
    }

    #[inline(always)]
    fn scales(&self) -> [f32; 8] {
        self.factors.scales()
    }

    #[inline(always)]
    fn mins(&self) -> [f32; 8] {
        self.factors.mins()
    }

    #[inline(always)]
    fn quantize(numbers: &[f32; 256]) -> Option<Self> {
        let found = groups_with_mins::<Integers<0, 31>, Integers<0, 63>, 256, 8, 32>(numbers)?;
        let mut block = Self { factors: SixBits::new(&found), ..Self::zeroed() };
        pack::<32, 4>(&found.quants, 0, &mut block.qs);
        pack::<32, 1>(&found.quants, 4, &mut block.qh);
        Some(block)
    }
}
