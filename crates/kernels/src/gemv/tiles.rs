//! Vectors in 8 bits in the order in which weights are multiplied with them: those of a tile side by side, span by span, so
//! that one register points to all that a span of weights needs.

use std::mem::take;

use bytemuck::{Pod, Zeroable};

use super::{
    activations::{Activations, Groups, Order},
    bytes::SPAN,
};
use crate::{
    quant::{GROUP_SIZE, groups},
    scratch::Scratch,
    share::share_each,
};

/// Numbers that one thread rounds before another wakes up.
const SERIAL: usize = 1 << 14;

/// Eight groups of a vector, with the names of [`Groups`].
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Span {
    pub quants: [i8; SPAN * GROUP_SIZE],
    pub scales: [f32; SPAN],
    pub sums: [f32; SPAN],
    pub half_sums: [f32; 2 * SPAN],
    /// What takes a zero point of 128 off products: of each group, and of either half.
    pub offsets: [i32; SPAN],
    pub half_offsets: [i32; 2 * SPAN],
    /// Whole cache lines.
    pub padding: [i32; SPAN],
}

/// Vectors in tiles of 1, 2, 4 or as many as the widest has.
pub struct Tiles {
    /// Of each tile `[spans, width]`, zeros where there is no vector.
    buffer: Scratch,
    n: usize,
    /// Spans of a vector.
    spans: usize,
    /// Vectors of the widest tile.
    most: usize,
}

/// Some vectors that are multiplied together.
pub struct Tile<'a> {
    /// The number of the first vector ...
    pub first: usize,
    /// ... and how many there are, the last of which may be none.
    pub width: usize,
    /// `[spans, width]`
    pub spans: &'a [Span],
}

impl Tiles {
    /// `x` `[n, columns]`, rounded to 8 bits, in tiles of `most` and what is left of them.
    pub fn new(x: &[f32], columns: usize, order: Order, most: usize) -> Self {
        let (n, spans) = (x.len() / columns, groups(columns).div_ceil(SPAN));
        let padded = widths(n, most).map(|(_, width)| width).sum::<usize>();
        let mut buffer = Scratch::of_any_values::<Span>(padded * spans);
        let mut rest = &mut buffer.values_mut::<Span>()[..padded * spans];
        let tiles = widths(n, most).map(|(first, width)| {
            let (to, others) = take(&mut rest).split_at_mut(width * spans);
            rest = others;
            (&x[first * columns..n.min(first + width) * columns], to)
        });
        let fill = |(x, to): (&[f32], &mut [Span])| {
            let width = to.len() / spans;
            let x = Activations::new(x, columns, order);
            for vector in 0..width {
                let to = to[vector..].iter_mut().step_by(width);
                if vector >= x.len() {
                    to.for_each(|to| *to = Span::zeroed());
                    continue;
                }
                let Groups { quants, scales, sums, half_sums, quant_sums } = x.vector(vector);
                let factors = scales.as_chunks().0.iter().zip(sums.as_chunks().0).zip(half_sums.as_chunks().0);
                let factors = factors.zip(quant_sums.as_chunks().0);
                let from = quants.as_chunks().0.iter().zip(factors);
                for (to, (quants, (((scales, sums), half_sums), quant_sums))) in to.zip(from) {
                    let half_offsets = quant_sums.map(|sum| -128 * sum);
                    let mut offsets = [0; SPAN];
                    for (offset, [first, second]) in offsets.iter_mut().zip(half_offsets.as_chunks().0) {
                        *offset = first + second;
                    }
                    let (quants, half_sums) = (*quants, *half_sums);
                    *to = Span {
                        quants,
                        scales: *scales,
                        sums: *sums,
                        half_sums,
                        offsets,
                        half_offsets,
                        padding: [0; SPAN],
                    };
                }
            }
        };
        if x.len() < SERIAL {
            tiles.for_each(fill)
        } else {
            share_each(tiles, fill)
        }
        Self { buffer, n, spans, most }
    }

    /// Vectors.
    pub fn len(&self) -> usize {
        self.n
    }

    pub fn iter(&self) -> impl Iterator<Item = Tile<'_>> {
        widths(self.n, self.most).map(|(first, width)| {
            let spans = &self.buffer.values()[first * self.spans..][..width * self.spans];
            Tile { first, width, spans }
        })
    }
}

/// The first vector of each tile, and its width. A vector of zeros costs less than another tile.
fn widths(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let width = match n - first {
            0 => return None,
            1 => 1,
            2 => most.min(2),
            3 | 4 => most.min(4),
            _ => most,
        };
        let tile = (first, width);
        first = n.min(first + width);
        Some(tile)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn every_vector_is_in_one_tile_and_the_rest_is_zero() {
        let columns = 700;
        for most in [1, 4, 6] {
            for n in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 23] {
                let values = random(n * columns, 1);
                let x = Activations::new(&values, columns, Order::Plain);
                let tiles = Tiles::new(&values, columns, Order::Plain, most);
                let mut next = 0;
                for Tile { first, width, spans } in tiles.iter() {
                    assert!(first == next && [1, 2, 4, most].contains(&width) && width <= most);
                    next = n.min(first + width);
                    assert_eq!(spans.len(), width * groups(columns).div_ceil(SPAN));
                    for (i, span) in spans.iter().enumerate() {
                        let (span_number, vector) = (i / width, first + i % width);
                        if vector >= n {
                            assert!(bytemuck::bytes_of(span).iter().all(|byte| *byte == 0));
                            continue;
                        }
                        let groups = x.vector(vector);
                        assert_eq!(span.quants[..], groups.quants[span_number * 256..][..256]);
                        assert_eq!(span.scales[..], groups.scales[span_number * 8..][..8]);
                        assert_eq!(span.sums[..], groups.sums[span_number * 8..][..8]);
                        assert_eq!(span.half_sums[..], groups.half_sums[span_number * 16..][..16]);
                        for (at, offset) in span.half_offsets.iter().enumerate() {
                            assert_eq!(*offset, -128 * groups.quant_sums[span_number * 16 + at]);
                            assert_eq!(
                                span.offsets[at / 2],
                                span.half_offsets[at / 2 * 2] + span.half_offsets[at / 2 * 2 + 1]
                            );
                        }
                    }
                }
                assert_eq!(next, n);
            }
        }
    }
}
