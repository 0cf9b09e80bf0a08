//! Inputs, and what attention of them is by definition.

use super::super::*;
use crate::testing::random;

/// Queries and results are `[batch, queries, heads, head_dim]` in memory, as projections make and take them; keys and
/// values are in a cache with more room than `keys`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub batch: usize,
    pub kv_heads: usize,
    pub groups: usize,
    pub queries: usize,
    pub keys: usize,
    pub head_dim: usize,
}

impl Shape {
    fn heads(self) -> usize {
        self.kv_heads * self.groups
    }

    fn q(self) -> ([usize; 4], [usize; 3]) {
        let row = self.heads() * self.head_dim;
        let shape = [self.batch, self.heads(), self.queries, self.head_dim];
        (shape, [self.queries * row, self.head_dim, row])
    }

    fn kv(self) -> ([usize; 4], [usize; 3]) {
        let head = (self.keys + 3) * self.head_dim;
        let shape = [self.batch, self.kv_heads, self.keys, self.head_dim];
        (shape, [self.kv_heads * head, head, self.head_dim])
    }

    fn elements(shape: ([usize; 4], [usize; 3])) -> usize {
        shape.0[0] * shape.1[0]
    }

    fn scale(self) -> f32 {
        (self.head_dim as f32).powf(-0.5)
    }
}

pub struct Inputs<T> {
    pub shape: Shape,
    pub q: Vec<f32>,
    pub k: Vec<T>,
    pub v: Vec<T>,
}

impl<T: Float + Default> Inputs<T> {
    /// Of about the size of normed queries and keys, so that weights differ by powers of ten. What is beyond the keys
    /// is NaN: it must not be touched.
    pub fn new(shape: Shape) -> Self {
        let q = random(Shape::elements(shape.q()), 1)
            .into_iter()
            .map(|q| q * 4.0)
            .collect();
        let cache = |seed| {
            let mut wide = random(Shape::elements(shape.kv()), seed);
            for head in wide.chunks_mut((shape.keys + 3) * shape.head_dim) {
                head[shape.keys * shape.head_dim..].fill(f32::NAN);
            }
            let mut cache = vec![T::default(); wide.len()];
            T::narrow(&wide, &mut cache);
            cache
        };
        Self {
            shape,
            q,
            k: cache(2),
            v: cache(3),
        }
    }

    pub fn attend(&self, isa: Isa, visible: &Visible) -> Vec<f32> {
        let (q, kv) = (self.shape.q(), self.shape.kv());
        let mut out = vec![f32::NAN; self.q.len()];
        attend(
            isa,
            View::new(&self.q, q.0, q.1),
            View::new(&self.k, kv.0, kv.1),
            View::new(&self.v, kv.0, kv.1),
            visible,
            self.shape.scale(),
            &mut ViewMut::new(&mut out, q.0, q.1),
        );
        out
    }
}

/// The definition in float64, and what float32 may be off by.
pub fn defined(
    inputs: &Inputs<f32>,
    sees: impl Fn(usize, usize, usize) -> bool,
) -> (Vec<f64>, Vec<f64>) {
    let shape = inputs.shape;
    let (q, kv) = (shape.q(), shape.kv());
    let (q, k, v) = (
        View::new(&inputs.q, q.0, q.1),
        View::new(&inputs.k, kv.0, kv.1),
        View::new(&inputs.v, kv.0, kv.1),
    );
    let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
    let (mut out, mut bounds) = (Vec::new(), Vec::new());
    for b in 0..shape.batch {
        for query in 0..shape.queries {
            for head in 0..shape.heads() {
                let q = q.row(b, head, query);
                let keys: Vec<usize> = (0..shape.keys).filter(|key| sees(b, query, *key)).collect();
                let rows = |view: View<'_, f32>| -> Vec<Vec<f32>> {
                    let row = |key: &usize| view.row(b, head / shape.groups, *key).to_vec();
                    keys.iter().map(row).collect()
                };
                let (k, v) = (rows(k), rows(v));
                let dot =
                    |k: &Vec<f32>| -> f64 { q.iter().zip(k).map(|(q, k)| product(*q, *k)).sum() };
                let size = |k: &Vec<f32>| -> f64 {
                    q.iter().zip(k).map(|(q, k)| product(*q, *k).abs()).sum()
                };
                let scale = f64::from(shape.scale());
                let scores: Vec<f64> = k.iter().map(|k| dot(k) * scale).collect();
                let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> =
                    scores.iter().map(|score| (score - largest).exp()).collect();
                let sum: f64 = weights.iter().sum();
                // A sum of n products in any order is off by at most n u times that of their sizes; and e^x, by
                // as much relatively as x absolutely, which counts twice: in the weights and in their sum.
                let size = k.iter().map(size).fold(0.0, f64::max) * scale;
                let score = (shape.head_dim as f64 + 8.0) * size;
                let most = v
                    .iter()
                    .flatten()
                    .fold(0.0, |most: f64, v| most.max(f64::from(v.abs())));
                let bound = (2.0 * score + 3.0 * keys.len() as f64 + 20.0) * most * 2f64.powi(-24);
                for at in 0..shape.head_dim {
                    let mixed: f64 = weights
                        .iter()
                        .zip(&v)
                        .map(|(weight, v)| weight * f64::from(v[at]))
                        .sum();
                    out.push(if keys.is_empty() { 0.0 } else { mixed / sum });
                    bounds.push(bound);
                }
            }
        }
    }
    (out, bounds)
}
