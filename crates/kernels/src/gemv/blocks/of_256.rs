//! Blocks of 256 numbers: each is a span, with 6 bits or so for the factors of every 32 or 16 numbers.

use super::Unpack;
use crate::{
    gemv::bytes::{Bytes, SPAN},
    quant::blocks::{IQ4, Iq4Xs, Q2K, Q3K, Q4K, Q5K, Q6K, SixBits},
};

/// Chunk `chunk` of 32 or 16 bytes.
#[inline(always)]
fn part<const BYTES: usize>(bytes: &[u8], chunk: usize) -> &[u8; BYTES] {
    &bytes.as_chunks().0[chunk]
}

/// A number in binary16 ...
#[inline(always)]
fn half<B: Bytes>(b: B, bytes: [u8; 2]) -> B::Factors {
    b.half(u16::from_le_bytes(bytes))
}

/// ... and its negative.
#[inline(always)]
fn less<B: Bytes>(b: B, bytes: [u8; 2]) -> B::Factors {
    b.half(u16::from_le_bytes(bytes) ^ 0x8000)
}

/// Factors of 32 columns each.
#[inline(always)]
fn eight(values: [u8; SPAN]) -> [i8; 2 * SPAN] {
    pulp::cast([values, [0; SPAN]])
}

#[inline(always)]
fn six_bits<B: Bytes>(b: B, factors: &SixBits) -> [B::Factors; 2] {
    let scales = b.integers(eight(factors.scale_bits()));
    let mins = b.integers(eight(factors.min_bits()));
    [b.times(scales, half(b, factors.d)), b.times(mins, less(b, factors.dmin))]
}

impl Unpack for Q4K {
    const GROUPS: usize = SPAN;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        six_bits(b, &blocks[0].factors)
    }

    /// Two groups in 32 bytes.
    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        let bytes = b.load(|i| part(&blocks[0].qs, (first + i) / 2));
        b.field(bytes, |i| ((first + i) % 2 * 4) as i32, 0xf)
    }
}

impl Unpack for Q5K {
    const GROUPS: usize = SPAN;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        six_bits(b, &blocks[0].factors)
    }

    /// As in Q4_K; the fifth bits of all groups in 32 bytes.
    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        let low = b.load(|i| part(&blocks[0].qs, (first + i) / 2));
        let low = b.field(low, |i| ((first + i) % 2 * 4) as i32, 0xf);
        b.or(low, b.field(b.load(|_| &blocks[0].qh), |i| (first + i) as i32 - 4, 0x10))
    }
}

impl Unpack for Q6K {
    const SIZE: usize = 16;
    const GROUPS: usize = SPAN;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.times(b.integers(blocks[0].scales), half(b, blocks[0].d));
        [scales, b.scaled(scales, -32.0)]
    }

    /// Each half: the low 4 bits of two groups and of the next two in 64 bytes, the high 2 bits of all four in 32.
    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        let low = b.load(|i| part(&blocks[0].ql, (first + i) / 4 * 2 + (first + i) % 2));
        let low = b.field(low, |i| ((first + i) / 2 % 2 * 4) as i32, 0xf);
        let high = b.load(|i| part(&blocks[0].qh, (first + i) / 4));
        b.or(low, b.field(high, |i| ((first + i) % 4 * 2) as i32 - 4, 0x30))
    }
}

impl Unpack for Q2K {
    const SIZE: usize = 16;
    const GROUPS: usize = SPAN;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.integers(blocks[0].scales.map(|both| (both & 0xf) as i8));
        let mins = b.integers(blocks[0].scales.map(|both| (both >> 4) as i8));
        [b.times(scales, half(b, blocks[0].d)), b.times(mins, less(b, blocks[0].dmin))]
    }

    /// Four groups in 32 bytes.
    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        let bytes = b.load(|i| part(&blocks[0].qs, (first + i) / 4));
        b.field(bytes, |i| ((first + i) % 4 * 2) as i32, 3)
    }
}

impl Unpack for Q3K {
    const SIZE: usize = 16;
    const GROUPS: usize = SPAN;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.times(b.integers(blocks[0].factors()), half(b, blocks[0].d));
        [scales, b.scaled(scales, -4.0)]
    }

    /// The low 2 bits as in Q2_K; the third bits of all groups in 32 bytes.
    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        let low = b.load(|i| part(&blocks[0].qs, (first + i) / 4));
        let low = b.field(low, |i| ((first + i) % 4 * 2) as i32, 3);
        b.or(low, b.field(b.load(|_| &blocks[0].hmask), |i| (first + i) as i32 - 2, 4))
    }
}

impl Unpack for Iq4Xs {
    const SIGNED: bool = true;
    const GROUPS: usize = SPAN;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.integers(pulp::cast([blocks[0].factors(), [0; SPAN]]));
        let scales = b.times(scales, half(b, blocks[0].d));
        [scales, scales]
    }

    /// A group in 16 bytes.
    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        b.look_up(&IQ4, b.nibbles(|i| part(&blocks[0].qs, first + i)))
    }
}
