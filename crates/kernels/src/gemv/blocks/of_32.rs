//! Blocks of 32 numbers: a span is eight of them, or fewer at the end of a row.

use std::array::from_fn;

use super::Unpack;
use crate::{
    gemv::bytes::{Bytes, SPAN},
    quant::{
        E2M1,
        blocks::{IQ4, Iq4Nl, Mxfp4, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0},
    },
};

/// Of every block, and zeros.
#[inline(always)]
fn each<T, N: Default>(blocks: &[T], number: impl Fn(&T) -> N) -> [N; SPAN] {
    from_fn(|i| blocks.get(i).map(&number).unwrap_or_default())
}

/// A block, or the last one.
#[inline(always)]
fn at<T>(blocks: &[T], block: usize) -> &T {
    &blocks[block.min(blocks.len() - 1)]
}

impl Unpack for Q4_0 {
    const GROUPS: usize = 1;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.halves(each(blocks, |block| u16::from_le_bytes(block.d)));
        [scales, b.scaled(scales, -8.0)]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        b.nibbles(|i| &at(blocks, first + i).qs)
    }
}

impl Unpack for Q4_1 {
    const GROUPS: usize = 1;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.halves(each(blocks, |block| u16::from_le_bytes(block.d)));
        [scales, b.halves(each(blocks, |block| u16::from_le_bytes(block.m)))]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        b.nibbles(|i| &at(blocks, first + i).qs)
    }
}

impl Unpack for Q5_0 {
    const GROUPS: usize = 1;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.halves(each(blocks, |block| u16::from_le_bytes(block.d)));
        [scales, b.scaled(scales, -16.0)]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        let low = b.nibbles(|i| &at(blocks, first + i).qs);
        b.or(low, b.bits(|i| u32::from_le_bytes(at(blocks, first + i).qh), 16))
    }
}

impl Unpack for Q5_1 {
    const GROUPS: usize = 1;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.halves(each(blocks, |block| u16::from_le_bytes(block.d)));
        [scales, b.halves(each(blocks, |block| u16::from_le_bytes(block.m)))]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        let low = b.nibbles(|i| &at(blocks, first + i).qs);
        b.or(low, b.bits(|i| u32::from_le_bytes(at(blocks, first + i).qh), 16))
    }
}

impl Unpack for Q8_0 {
    const GROUPS: usize = 1;
    const SIGNED: bool = true;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.halves(each(blocks, |block| u16::from_le_bytes(block.d)));
        [scales, scales]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        b.signed(b.load(|i| bytemuck::cast_ref(&at(blocks, first + i).qs)))
    }
}

impl Unpack for Iq4Nl {
    const GROUPS: usize = 1;
    const SIGNED: bool = true;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.halves(each(blocks, |block| u16::from_le_bytes(block.d)));
        [scales, scales]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        b.look_up(&IQ4, b.nibbles(|i| &at(blocks, first + i).qs))
    }
}

impl Unpack for Mxfp4 {
    const GROUPS: usize = 1;
    const SIGNED: bool = true;

    #[inline(always)]
    fn factors<B: Bytes>(b: B, blocks: &[Self]) -> [B::Factors; 2] {
        let scales = b.half_powers(each(blocks, |block| block.e));
        [scales, scales]
    }

    #[inline(always)]
    fn quants<B: Bytes>(b: B, blocks: &[Self], first: usize) -> B::Quants {
        b.look_up(&E2M1, b.nibbles(|i| &at(blocks, first + i).qs))
    }
}
