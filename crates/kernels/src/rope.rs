//! The rotation of queries and keys.

use rayon::prelude::*;

use super::{
    element::Element,
    lanes::{Kernel, Lanes, Level},
    share::shares,
    view::{View, ViewMut},
};

/// Cosines and sines, `[batch or 1, seq, head_dim / 2]` each.
#[derive(Clone, Copy)]
pub struct Angles<'a> {
    pub cos: &'a [f32],
    pub sin: &'a [f32],
}

/// Turns the pair `(x[i], x[i + head_dim / 2])` by the angle of its place, and writes it to `out`: a tensor of its own,
/// or the slots of a cache.
///
/// `x`, `out` `[batch, heads, seq, head_dim]`. Error: at most `3 * 2^-24 |(x1, x2)| |(cos, sin)|`, before rounding to
/// the type of `out`.
pub fn rotate<T: Element>(
    level: Level,
    x: View<'_, f32>,
    angles: Angles<'_>,
    out: &mut ViewMut<'_, T>,
) {
    assert_eq!(x.shape(), out.shape(), "as many outputs as inputs");
    each_place(x.shape(), |batch, at| {
        let [_, heads, seq, head_dim] = x.shape();
        let angles = angles.of(batch, at, seq, head_dim);
        let mut turned = vec![0.0; head_dim];
        for head in 0..heads {
            turned.copy_from_slice(x.row(batch, head, at));
            level.run(Turn {
                row: &mut turned,
                angles,
            });
            // SAFETY: each place of each row of the batch is visited once, by one thread.
            T::narrow(&turned, unsafe { out.row_mut(batch, head, at) });
        }
    });
}

/// Every row of the batch and every place in it, over several threads if that is worth it.
fn each_place(shape: [usize; 4], visit: impl Fn(usize, usize) + Sync) {
    let [batch, heads, seq, head_dim] = shape;
    let Some(share) = shares(shape.iter().product(), heads * head_dim) else {
        return;
    };
    let places = share / (heads * head_dim);
    let visit = |place: usize| visit(place / seq, place % seq);
    match places < batch * seq {
        true => (0..batch * seq)
            .into_par_iter()
            .with_min_len(places)
            .for_each(visit),
        false => (0..batch * seq).for_each(visit),
    }
}

impl<'a> Angles<'a> {
    /// Of one place in one row of the batch, `head_dim / 2` of each.
    fn of(self, batch: usize, at: usize, seq: usize, head_dim: usize) -> Self {
        let half = head_dim / 2;
        let row = match self.cos.len() > seq * half {
            true => batch,
            false => 0,
        };
        let place = (row * seq + at) * half..(row * seq + at + 1) * half;
        Self {
            cos: &self.cos[place.clone()],
            sin: &self.sin[place],
        }
    }
}

struct Turn<'a> {
    row: &'a mut [f32],
    angles: Angles<'a>,
}

impl Kernel for Turn<'_> {
    #[inline(always)]
    fn run<S: Lanes>(self, _: S) {
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
    use crate::noise::noise;

    /// `[batch, seq, heads, head_dim]` in memory.
    fn by_place([batch, heads, seq, head_dim]: [usize; 4]) -> ([usize; 4], [usize; 3]) {
        (
            [batch, heads, seq, head_dim],
            [seq * heads * head_dim, head_dim, heads * head_dim],
        )
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
    fn it_is_the_definition_and_writes_nothing_but_its_slots() {
        let shapes = [
            [0, 2, 3, 8],
            [1, 1, 1, 2],
            [2, 3, 5, 24],
            [1, 4, 7, 80],
            [2, 2, 9, 6],
            [1, 8, 300, 64],
        ];
        for (shape, rows) in shapes
            .iter()
            .flat_map(|shape| [(*shape, 1), (*shape, shape[0].max(1))])
        {
            let [batch, heads, seq, head_dim] = shape;
            let half = head_dim / 2;
            let x = noise(shape.iter().product(), 1);
            let angles: Vec<f32> = noise(rows * seq * half, 2)
                .into_iter()
                .map(|x| x * 9.0)
                .collect();
            let cos: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
            let sin: Vec<f32> = angles.iter().map(|angle| angle.sin()).collect();
            let angles = Angles {
                cos: &cos,
                sin: &sin,
            };
            let view = View::new(&x, by_place(shape).0, by_place(shape).1);
            for level in Level::all() {
                // Slots 2.. of a cache with room for three more.
                let capacity = seq + 3;
                let mut cache = vec![7.0_f32; batch * heads * capacity * head_dim];
                let slots = [heads * capacity * head_dim, capacity * head_dim, head_dim];
                let from = (2 * head_dim).min(cache.len());
                rotate(
                    level,
                    view,
                    angles,
                    &mut ViewMut::new(&mut cache[from..], shape, slots),
                );
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
                    assert!(
                        (f64::from(y[i]) - (x1 * cos - x2 * sin)).abs() <= bound,
                        "{level:?}"
                    );
                    assert!((f64::from(y[i + half]) - (x2 * cos + x1 * sin)).abs() <= bound);
                });
            }
        }
    }

    #[test]
    fn halves_are_the_rounded_floats() {
        let shape = [2, 3, 4, 10];
        let x = noise(240, 1);
        let (cos, sin) = (noise(20, 2), noise(20, 3));
        let angles = Angles {
            cos: &cos,
            sin: &sin,
        };
        let view = View::new(&x, shape, [120, 40, 10]);
        for level in Level::all() {
            let mut wide = vec![0.0; 240];
            rotate(
                level,
                view,
                angles,
                &mut ViewMut::new(&mut wide, shape, [120, 40, 10]),
            );
            let mut narrow = vec![f16::ZERO; 240];
            rotate(
                level,
                view,
                angles,
                &mut ViewMut::new(&mut narrow, shape, [120, 40, 10]),
            );
            assert_eq!(
                narrow,
                wide.iter().copied().map(f16::from_f32).collect::<Vec<_>>()
            );
        }
    }
}
