//! Vectors in 8 bits in the order in which weights are multiplied with them: those of a tile side by side, span by span, so
//! that one register points to all that a span of weights needs.

use bytemuck::{Pod, Zeroable};

use super::{
    activations::{Activations, Groups},
    bytes::SPAN,
};
use crate::{quant::GROUP_SIZE, scratch::Scratch};

/// Eight groups of a vector, with the names of [`Groups`].
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Span {
    pub quants: [i8; SPAN * GROUP_SIZE],
    pub scales: [f32; SPAN],
    pub sums: [f32; SPAN],
    pub half_sums: [f32; 2 * SPAN],
    pub quant_sums: [i32; 2 * SPAN],
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
    /// `x` as they are, in tiles of `most` and what is left of them.
    pub fn new(x: &Activations, most: usize) -> Self {
        let (n, spans) = (x.len(), x.groups() / SPAN);
        let padded = widths(n, most).map(|(_, width)| width).sum::<usize>();
        let mut buffer = Scratch::zeroed::<Span>(padded * spans);
        for (first, width) in widths(n, most) {
            let to = &mut buffer.values_mut::<Span>()[first * spans..][..width * spans];
            for vector in first..n.min(first + width) {
                let Groups { quants, scales, sums, half_sums, quant_sums } = x.vector(vector);
                let factors = scales.as_chunks().0.iter().zip(sums.as_chunks().0).zip(half_sums.as_chunks().0);
                let factors = factors.zip(quant_sums.as_chunks().0);
                let from = quants.as_chunks().0.iter().zip(factors);
                let to = to[vector - first..].iter_mut().step_by(width);
                for (to, (quants, (((scales, sums), half_sums), quant_sums))) in to.zip(from) {
                    let (half_sums, quant_sums) = (*half_sums, *quant_sums);
                    *to = Span { quants: *quants, scales: *scales, sums: *sums, half_sums, quant_sums };
                }
            }
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
            3..=6 if most != 6 || n - first <= 4 => most.min(4),
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
    use crate::{gemv::activations::Order, testing::random};

    #[test]
    fn every_vector_is_in_one_tile_and_the_rest_is_zero() {
        let columns = 700;
        for most in [1, 4, 6, 8] {
            for n in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 23] {
                let x = Activations::new(&random(n * columns, 1), columns, Order::Plain);
                let tiles = Tiles::new(&x, most);
                let mut next = 0;
                for Tile { first, width, spans } in tiles.iter() {
                    assert!(first == next && [1, 2, 4, most].contains(&width) && width <= most);
                    next = n.min(first + width);
                    assert_eq!(spans.len(), width * x.groups() / SPAN);
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
                        assert_eq!(span.quant_sums[..], groups.quant_sums[span_number * 16..][..16]);
                    }
                }
                assert_eq!(next, n);
            }
        }
    }
}
