//! RoPE: the rotation of queries and keys by their positions.

use rayon::prelude::*;

use crate::{
    chunk::chunk_len,
    float::Float,
    isa::{Isa, Kernel},
    simd_ext::SimdExt,
    view::{View, ViewMut},
};

/// Cosines and sines, `[batch or 1, seq, head_dim / 2]` each.
#[derive(Clone, Copy)]
pub struct Angles<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
}

/// Rotates each pair `(x[i], x[i + head_dim / 2])` by its angle, and writes it to `out`: a tensor of its own, or the slots of
/// a cache.
///
/// `x`, `out` `[batch, heads, seq, head_dim]`. Error: at most `3 * 2^-24 |(x1, x2)| |(cos, sin)|`, before rounding to
/// the type of `out`.
pub fn rotate<T: Float>(isa: Isa, x: View<'_, f32>, angles: Angles<'_>, out: &mut ViewMut<'_, T>) {
    assert_eq!(x.shape(), out.shape(), "as many outputs as inputs");
    each_token(x.shape(), |batch, at| {
        let [_, heads, seq, head_dim] = x.shape();
        let angles = angles.of(batch, at, seq, head_dim);
        let mut rotated = vec![0.0; head_dim];
        for head in 0..heads {
            rotated.copy_from_slice(x.row(batch, head, at));
            isa.run(Rotate { row: &mut rotated, angles });
            // SAFETY: each token of each row of the batch is visited once, by one thread.
            T::narrow(&rotated, unsafe { out.row_mut(batch, head, at) });
        }
    });
}

/// Visits every token of every row of the batch, on several threads if that is worth it.
fn each_token(shape: [usize; 4], visit: impl Fn(usize, usize) + Sync) {
    let [batch, heads, seq, head_dim] = shape;
    let Some(chunk) = chunk_len(shape.iter().product(), heads * head_dim) else {
        return;
    };
    let tokens = chunk / (heads * head_dim);
    let visit = |token: usize| visit(token / seq, token % seq);
    if tokens < batch * seq {
        (0..batch * seq).into_par_iter().with_min_len(tokens).for_each(visit);
    } else {
        (0..batch * seq).for_each(visit);
    }
}

impl<'a> Angles<'a> {
    /// Those of one token of one row of the batch, `[head_dim / 2]` each.
    fn of(self, batch: usize, at: usize, seq: usize, head_dim: usize) -> Self {
        let half = head_dim / 2;
        let row = if self.cos.len() > seq * half { batch } else { 0 };
        let token = (row * seq + at) * half..(row * seq + at + 1) * half;
        Self { cos: &self.cos[token.clone()], sin: &self.sin[token] }
    }
}

struct Rotate<'a> {
    row: &'a mut [f32],
    angles: Angles<'a>,
}

impl Kernel for Rotate<'_> {
    #[inline(always)]
    fn run<S: SimdExt>(self, _: S) {
        let half = self.row.len() / 2;
        let (first, second) = self.row.split_at_mut(half);
        let angles = self.angles.cos.iter().zip(self.angles.sin);
        for ((x1, x2), (cos, sin)) in first.iter_mut().zip(second).zip(angles) {
            (*x1, *x2) = (*x1 * cos - *x2 * sin, *x2 * cos + *x1 * sin);
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

    fn each(shape: [usize; 4], mut visit: impl FnMut(usize, usize, usize, usize)) {
        for b in 0..shape[0] {
            for h in 0..shape[1] {
                for s in 0..shape[2] {
                    (0..shape[3] / 2).for_each(|i| visit(b, h, s, i));
                }
            }
        }
    }

    #[test]
    fn rotate_is_the_definition_and_writes_only_its_slots() {
        let shapes = [[0, 2, 3, 8], [1, 1, 1, 2], [2, 3, 5, 24], [1, 4, 7, 80], [2, 2, 9, 6], [1, 8, 300, 64]];
        for (shape, rows) in shapes.iter().flat_map(|shape| [(*shape, 1), (*shape, shape[0].max(1))]) {
            let [batch, heads, seq, head_dim] = shape;
            let half = head_dim / 2;
            let x = random(shape.iter().product(), 1);
            let angles: Vec<f32> = random(rows * seq * half, 2).into_iter().map(|x| x * 9.0).collect();
            let cos: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
            let sin: Vec<f32> = angles.iter().map(|angle| angle.sin()).collect();
            let angles = Angles { cos: &cos, sin: &sin };
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

                each(shape, |b, h, s, i| {
                    let at = ((b % rows) * seq + s) * half + i;
                    let (cos, sin) = (f64::from(cos[at]), f64::from(sin[at]));
                    let x = view.row(b, h, s);
                    let (x1, x2) = (f64::from(x[i]), f64::from(x[i + half]));
                    let bound = 3.0 * 2f64.powi(-24) * x1.hypot(x2);
                    let y = cached.row(b, h, s);
                    assert!((f64::from(y[i]) - (x1 * cos - x2 * sin)).abs() <= bound, "{isa:?}");
                    assert!((f64::from(y[i + half]) - (x2 * cos + x1 * sin)).abs() <= bound);
                });
            }
        }
    }

    #[test]
    fn rotate_to_f16_rounds_the_floats() {
        let shape = [2, 3, 4, 10];
        let x = random(240, 1);
        let (cos, sin) = (random(20, 2), random(20, 3));
        let angles = Angles { cos: &cos, sin: &sin };
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
