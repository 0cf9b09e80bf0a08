//! RoPE: the rotation of queries and keys by their positions.

use crate::{
    chunk::chunk_len,
    float::Float,
    isa::{Isa, Kernel},
    scratch::Scratch,
    share::share,
    simd_ext::SimdExt,
    view::{View, ViewMut},
};

/// What tokens are rotated by, and which numbers of a head are a pair.
#[derive(Clone, Copy)]
pub struct Angles<'a> {
    /// Of each token the cosines of all pairs, and then their sines: `[batch or 1, seq, 2 * pairs]`
    pub table: &'a [f32],
    /// Pairs of a head that are rotated, the first ones: `2 * pairs <= head_dim`.
    pub pairs: usize,
    /// Whether pair i is `(x[2 i], x[2 i + 1])`, and not `(x[i], x[i + pairs])`.
    pub interleaved: bool,
}

/// Rotates each pair of a head by its angle, and writes the head to `out`: a tensor of its own, or the slots of a cache.
///
/// `x`, `out` `[batch, heads, seq, head_dim]`. Error: at most `3 * 2^-24 |(x1, x2)| |(cos, sin)|`, before rounding to
/// the type of `out`.
pub fn rotate<T: Float>(isa: Isa, x: View<'_, f32>, angles: Angles<'_>, out: &mut ViewMut<'_, T>) {
    assert_eq!(x.shape(), out.shape(), "as many outputs as inputs");
    each_token(x.shape(), |batch, at| {
        let [_, heads, seq, head_dim] = x.shape();
        // SAFETY: each token of each row of the batch is visited once, by one thread.
        let heads = (0..heads).map(|head| (x.row(batch, head, at), unsafe { out.row_mut(batch, head, at) }));
        let mut rotated = Scratch::of_any_values::<f32>(head_dim);
        let rotated = &mut rotated.values_mut()[..head_dim];
        isa.run(Rotate { heads, rotated, angles: angles.of(batch, at, seq) });
    });
}

/// Visits every token of every row of the batch, on several threads if that is worth it.
fn each_token(shape: [usize; 4], visit: impl Fn(usize, usize) + Sync) {
    let [batch, heads, seq, head_dim] = shape;
    let Some(chunk) = chunk_len(shape.iter().product(), heads * head_dim) else {
        return;
    };
    let tokens = chunk / (heads * head_dim);
    let all = batch * seq;
    share(rayon::current_num_threads(), all.div_ceil(tokens), |piece| {
        let tokens = piece * tokens..all.min((piece + 1) * tokens);
        tokens.for_each(|token| visit(token / seq, token % seq));
    });
}

impl<'a> Angles<'a> {
    /// Those of one token of one row of the batch, `[2 * pairs]`.
    fn of(self, batch: usize, at: usize, seq: usize) -> Self {
        let pairs = self.pairs;
        let row = if self.table.len() > seq * 2 * pairs { batch } else { 0 };
        let token = row * seq + at;
        Self { table: &self.table[token * 2 * pairs..(token + 1) * 2 * pairs], ..self }
    }

    /// Rotates a head of that token.
    #[inline(always)]
    fn turn(self, head: &mut [f32]) {
        let (cos, sin) = self.table.split_at(self.pairs);
        let angles = cos.iter().zip(sin);
        if self.interleaved {
            for ([x1, x2], (cos, sin)) in head.as_chunks_mut().0.iter_mut().zip(angles) {
                (*x1, *x2) = (*x1 * cos - *x2 * sin, *x2 * cos + *x1 * sin);
            }
        } else {
            let (first, second) = head.split_at_mut(self.pairs);
            for ((x1, x2), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
                (*x1, *x2) = (*x1 * cos - *x2 * sin, *x2 * cos + *x1 * sin);
            }
        }
    }
}

/// The heads of one token.
struct Rotate<'a, H> {
    /// Each as it is, and where it goes.
    heads: H,
    /// Room for one.
    rotated: &'a mut [f32],
    angles: Angles<'a>,
}

impl<'x, T: Float, H: Iterator<Item = (&'x [f32], &'x mut [T])>> Kernel for Rotate<'_, H> {
    #[inline(always)]
    fn run<S: SimdExt>(self, simd: S) {
        let Self { heads, rotated, angles } = self;
        for (x, out) in heads {
            rotated.copy_from_slice(x);
            angles.turn(rotated);
            T::narrow(simd, rotated, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::testing::random;

    /// `[batch, seq, heads, head_dim]` in memory.
    fn by_token([batch, heads, seq, head_dim]: [usize; 4]) -> ([usize; 4], [usize; 3]) {
        ([batch, heads, seq, head_dim], [seq * heads * head_dim, head_dim, heads * head_dim])
    }

    fn each(shape: [usize; 4], mut visit: impl FnMut(usize, usize, usize)) {
        for b in 0..shape[0] {
            for h in 0..shape[1] {
                (0..shape[2]).for_each(|s| visit(b, h, s));
            }
        }
    }

    #[test]
    fn rotate_is_the_definition_and_writes_only_its_slots() {
        let shapes = [[0, 2, 3, 8], [1, 1, 1, 2], [2, 3, 5, 24], [1, 4, 7, 80], [2, 2, 9, 6], [1, 8, 300, 64]];
        let cases = shapes.iter().flat_map(|shape| {
            let [batch, _, _, head_dim]: [usize; 4] = *shape;
            // All of a head and part of it; the same angles in every row and others.
            let pairs = [head_dim / 2, head_dim.div_ceil(6)];
            let rows = [1, batch.max(1)];
            let both = pairs.into_iter().flat_map(move |pairs| rows.map(|rows| (pairs, rows)));
            both.flat_map(move |(pairs, rows)| [false, true].map(|interleaved| (*shape, pairs, rows, interleaved)))
        });
        for (shape, half, rows, interleaved) in cases {
            let [batch, heads, seq, head_dim] = shape;
            let x = random(shape.iter().product(), 1);
            let angles: Vec<f32> = random(rows * seq * half, 2).into_iter().map(|x| x * 9.0).collect();
            let of_token = |token: &[f32]| -> Vec<f32> {
                let cos = token.iter().map(|angle| angle.cos());
                cos.chain(token.iter().map(|angle| angle.sin())).collect()
            };
            let table: Vec<f32> = angles.chunks(half).flat_map(of_token).collect();
            let angles = Angles { table: &table, pairs: half, interleaved };
            let view = View::new(&x, by_token(shape).0, by_token(shape).1);
            for isa in Isa::all() {
                // Slots 2.. of a cache with room for three more.
                let capacity = seq + 3;
                let mut cache = vec![7.0_f32; batch * heads * capacity * head_dim];
                let slots = [heads * capacity * head_dim, capacity * head_dim, head_dim];
                let from = (2 * head_dim).min(cache.len());
                rotate(isa, view, angles, &mut ViewMut::new(&mut cache[from..], shape, slots));
                let untouched = cache.iter().filter(|x| **x == 7.0).count();
                assert_eq!(untouched, batch * heads * 3 * head_dim);
                let cached = View::new(&cache[from..], shape, slots);

                each(shape, |b, h, s| {
                    let (x, y) = (view.row(b, h, s), cached.row(b, h, s));
                    for i in 0..half {
                        let at = ((b % rows) * seq + s) * 2 * half + i;
                        let (cos, sin) = (f64::from(table[at]), f64::from(table[at + half]));
                        let (first, second) = if interleaved { (2 * i, 2 * i + 1) } else { (i, i + half) };
                        let (x1, x2) = (f64::from(x[first]), f64::from(x[second]));
                        let bound = 3.0 * 2f64.powi(-24) * x1.hypot(x2);
                        assert!((f64::from(y[first]) - (x1 * cos - x2 * sin)).abs() <= bound, "{isa:?}");
                        assert!((f64::from(y[second]) - (x2 * cos + x1 * sin)).abs() <= bound);
                    }
                    assert_eq!(x[2 * half..], y[2 * half..], "what is not rotated");
                });
            }
        }
    }

    #[test]
    fn rotate_to_f16_rounds_the_floats() {
        let shape = [2, 3, 4, 10];
        let x = random(240, 1);
        let table = random(40, 2);
        let angles = Angles { table: &table, pairs: 5, interleaved: false };
        let view = View::new(&x, shape, [120, 40, 10]);
        for isa in Isa::all() {
            let mut wide = vec![0.0; 240];
            rotate(isa, view, angles, &mut ViewMut::new(&mut wide, shape, [120, 40, 10]));
            let mut narrow = vec![f16::ZERO; 240];
            rotate(isa, view, angles, &mut ViewMut::new(&mut narrow, shape, [120, 40, 10]));
            assert_eq!(narrow, wide.iter().copied().map(f16::from_f32).collect::<Vec<_>>());
        }
    }
}
