//! Vectors in 8 bits in the order in which weights are multiplied with them: those of a tile side by side, span by span, so
//! that one register points to all that a span of weights needs.

use std::mem::take;

use bytemuck::Zeroable;

use super::{
    activations::{Order, Span},
    bytes::SPAN,
};
use crate::{
    isa::vectorized,
    quant::{GROUP_SIZE, groups},
    scratch::Scratch,
    share::share_each,
};

/// Numbers that one thread rounds before another wakes up.
const SERIAL: usize = 1 << 14;

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
        let padded = (0..n.div_ceil(most)).map(|tile| width(n - tile * most, most)).sum::<usize>();
        let mut buffer = Scratch::of_any_values::<Span>(padded * spans);
        let mut rest = &mut buffer.values_mut::<Span>()[..padded * spans];
        let tiles = x.chunks(most * columns).map(|x| {
            let (to, others) = take(&mut rest).split_at_mut(width(x.len() / columns, most) * spans);
            rest = others;
            (x, to)
        });
        let fill = |(x, to): (&[f32], &mut [Span])| {
            vectorized(
                #[inline(always)]
                || {
                    let width = to.len() / spans;
                    let vectors = x.len() / columns;
                    for (vector, x) in x.chunks_exact(columns).enumerate() {
                        for (x, to) in x.chunks(SPAN * GROUP_SIZE).zip(to[vector..].iter_mut().step_by(width)) {
                            to.fill(x, order);
                        }
                    }
                    for to in to.chunks_exact_mut(width) {
                        to[vectors..].fill(Span::zeroed());
                    }
                },
            );
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
        (0..self.n.div_ceil(self.most)).map(|tile| self.tile(tile))
    }

    #[inline(always)]
    pub fn tile(&self, tile: usize) -> Tile<'_> {
        let first = tile * self.most;
        let width = width(self.n - first, self.most);
        Tile { first, width, spans: &self.buffer.values()[first * self.spans..][..width * self.spans] }
    }
}

/// The width of the next tile of so many vectors that are left. A vector of zeros costs less than another tile.
fn width(vectors: usize, most: usize) -> usize {
    match vectors {
        1 | 2 => most.min(vectors),
        3 | 4 => most.min(4),
        _ => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn every_vector_is_in_one_tile_and_the_rest_is_zero() {
        let columns = 700;
        for most in [1, 4, 6] {
            for n in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 23, 130] {
                let values = random(n * columns, 1);
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
                        let x = values[vector * columns..][..columns].chunks(SPAN * GROUP_SIZE).nth(span_number);
                        let mut alone = Span::zeroed();
                        alone.fill(x.unwrap(), Order::Plain);
                        assert_eq!(bytemuck::bytes_of(span), bytemuck::bytes_of(&alone));
                    }
                }
                assert_eq!(next, n);
            }
        }
    }
}
