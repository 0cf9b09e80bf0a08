//! Inputs, and what attention of them is by definition.

use super::super::*;
use crate::{
    float::{Float, narrow},
    quant::GROUP_SIZE,
    testing::random,
};

/// Queries and results are `[batch, queries, heads, head_dim]` in memory, as projections make and take them.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub batch: usize,
    pub kv_heads: usize,
    pub groups: usize,
    pub queries: usize,
    pub head_dim: usize,
}

impl Shape {
    pub fn heads(self) -> usize {
        self.kv_heads * self.groups
    }

    fn q(self) -> ([usize; 4], [usize; 3]) {
        let row = self.heads() * self.head_dim;
        let shape = [self.batch, self.heads(), self.queries, self.head_dim];
        (shape, [self.queries * row, self.head_dim, row])
    }

    /// A cache with room for three more keys.
    fn kv(self, keys: usize) -> ([usize; 4], [usize; 3]) {
        let head = (keys + 3) * self.head_dim;
        let shape = [self.batch, self.kv_heads, keys, self.head_dim];
        (shape, [self.kv_heads * head, head, self.head_dim])
    }

    fn elements(shape: ([usize; 4], [usize; 3])) -> usize {
        shape.0[0] * shape.1[0]
    }
}

/// Keys and values of one segment.
#[derive(Clone)]
pub struct Held<T> {
    pub keys: usize,
    pub mask: KeyMask,
    pub q: Vec<f32>,
    pub k: Vec<T>,
    pub v: Vec<T>,
}

#[derive(Clone)]
pub struct Inputs<T> {
    pub shape: Shape,
    pub first_query: usize,
    pub soft_cap: Option<f32>,
    pub sinks: Option<Vec<f32>>,
    pub segments: Vec<Held<T>>,
}

/// Whether a query at position `query` sees the key in `slot`.
fn sees(mask: KeyMask, query: usize, slot: usize) -> bool {
    mask.positions.position(slot).is_some_and(|key| {
        let after = mask.window.is_none_or(|window| key + window > query);
        key <= query && key >= mask.first_key && after
    })
}

impl<T: Float + Default> Inputs<T> {
    /// Numbers of about the size of normed queries and keys, so that weights differ by powers of ten. Each segment has
    /// queries of its own. What lies beyond the keys, and keys that no query sees, are NaN: they must not be read.
    pub fn new(shape: Shape, first_query: usize, segments: &[(usize, KeyMask)]) -> Self {
        let segments = segments.iter().enumerate().map(|(i, (keys, mask))| {
            let queries = first_query..first_query + shape.queries;
            let seen = |slot| queries.clone().any(|query| sees(*mask, query, slot));
            let cache = |seed| {
                let mut wide = random(Shape::elements(shape.kv(*keys)), seed);
                for head in wide.chunks_mut((keys + 3) * shape.head_dim) {
                    for (slot, vector) in head.chunks_mut(shape.head_dim).enumerate() {
                        if slot >= *keys || !seen(slot) {
                            vector.fill(f32::NAN);
                        }
                    }
                }
                let mut cache = vec![T::default(); wide.len()];
                narrow(Isa::best(), &wide, &mut cache);
                cache
            };
            let seed = 10 * i as u64;
            let q = random(Shape::elements(shape.q()), seed + 1);
            Held {
                keys: *keys,
                mask: *mask,
                q: q.into_iter().map(|q| q * 4.0).collect(),
                k: cache(seed + 2),
                v: cache(seed + 3),
            }
        });
        Self { shape, first_query, soft_cap: None, sinks: None, segments: segments.collect() }
    }

    fn views(&self) -> Vec<Segment<'_, View<'_, T>>> {
        let segments = self.segments.iter().map(|held| {
            let (q, kv) = (self.shape.q(), self.shape.kv(held.keys));
            Segment {
                q: View::new(&held.q, q.0, q.1),
                k: View::new(&held.k, kv.0, kv.1),
                v: View::new(&held.v, kv.0, kv.1),
                mask: held.mask,
            }
        });
        segments.collect()
    }

    fn softmax(&self) -> Softmax<'_> {
        Softmax {
            scale: (self.shape.head_dim as f32).powf(-0.5),
            soft_cap: self.soft_cap,
            sinks: self.sinks.as_deref(),
        }
    }

    pub fn attend(&self, isa: Isa) -> Vec<f32> {
        self.attend_to(isa, &self.views())
    }

    /// Texts of the same heads in one call.
    pub fn attend_together(texts: &[Self], isa: Isa) -> Vec<Vec<f32>> {
        let views: Vec<_> = texts.iter().map(Self::views).collect();
        let mut outs: Vec<_> = texts.iter().map(|text| vec![f32::NAN; Shape::elements(text.shape.q())]).collect();
        let attentions = texts.iter().zip(&views).zip(&mut outs).map(|((text, segments), out)| {
            let (shape, strides) = text.shape.q();
            Attention { segments, first_query: text.first_query, out: ViewMut::new(out, shape, strides) }
        });
        let mut attentions: Vec<_> = attentions.collect();
        attend_all(isa, &mut attentions, texts[0].softmax());
        outs
    }

    fn attend_to<K: Kept>(&self, isa: Isa, segments: &[Segment<'_, K>]) -> Vec<f32> {
        let (shape, strides) = self.shape.q();
        let mut out = vec![f32::NAN; Shape::elements((shape, strides))];
        attend(isa, segments, self.first_query, self.softmax(), &mut ViewMut::new(&mut out, shape, strides));
        out
    }
}

/// Vectors in 8 bits, one behind the other.
pub struct Rounded {
    pub quants: Vec<i8>,
    pub scales: Vec<f32>,
}

impl Rounded {
    pub fn new(x: &[f32], head_dim: usize) -> Self {
        let (vectors, groups) = (x.len() / head_dim, head_dim.div_ceil(GROUP_SIZE));
        let (mut quants, mut scales) = (vec![0; vectors * groups * GROUP_SIZE], vec![0.0; vectors * groups]);
        let x = View::new(x, [1, 1, vectors, head_dim], [x.len(), x.len(), head_dim]);
        quantize_vectors(x, &mut quants, &mut scales);
        Self { quants, scales }
    }

    /// What they stand for.
    pub fn numbers(&self, head_dim: usize) -> Vec<f32> {
        let groups = head_dim.div_ceil(GROUP_SIZE);
        let vectors = self.quants.chunks(groups * GROUP_SIZE).zip(self.scales.chunks(groups));
        let number = |vector: &[i8], scales: &[f32], i: usize| f32::from(vector[i]) * scales[i / GROUP_SIZE];
        vectors.flat_map(|(vector, scales)| (0..head_dim).map(move |i| number(vector, scales, i))).collect()
    }

    fn view(&self, shape: Shape, keys: usize) -> Int8View<'_> {
        let groups = shape.head_dim.div_ceil(GROUP_SIZE);
        let of = |count: usize| {
            let head = (keys + 3) * count;
            ([shape.batch, shape.kv_heads, keys, count], [shape.kv_heads * head, head, count])
        };
        let (quants, scales) = (of(groups * GROUP_SIZE), of(groups));
        let quants = View::new(&self.quants, quants.0, quants.1);
        Int8View::new(quants, View::new(&self.scales, scales.0, scales.1), shape.head_dim)
    }
}

impl Inputs<f32> {
    /// With keys and values in 8 bits, and the same inputs with the numbers that these stand for.
    pub fn attend_rounded(&self, isa: Isa) -> (Vec<f32>, Self) {
        let head_dim = self.shape.head_dim;
        let round = |x: &Vec<f32>| Rounded::new(x, head_dim);
        let rounded: Vec<_> = self.segments.iter().map(|held| [round(&held.k), round(&held.v)]).collect();
        let (mut numbers, of_q) = (self.clone(), self.shape.q());
        for (held, [k, v]) in numbers.segments.iter_mut().zip(&rounded) {
            (held.k, held.v) = (k.numbers(head_dim), v.numbers(head_dim));
        }
        let views = self.segments.iter().zip(&rounded).map(|(held, [k, v])| Segment {
            q: View::new(&held.q, of_q.0, of_q.1),
            k: k.view(self.shape, held.keys),
            v: v.view(self.shape, held.keys),
            mask: held.mask,
        });
        (self.attend_to(isa, &views.collect::<Vec<_>>()), numbers)
    }
}

impl Inputs<f32> {
    /// The definition in float64, and what float32 may be off by; `[batch, queries, heads, head_dim]`.
    pub fn defined(&self) -> (Vec<f64>, Vec<f64>) {
        let shape = self.shape;
        let (segments, softmax) = (self.views(), self.softmax());
        let (mut out, mut bounds) = (Vec::new(), Vec::new());
        for batch in 0..shape.batch {
            for query in 0..shape.queries {
                for head in 0..shape.heads() {
                    // Score, sum of magnitudes, and value.
                    let mut keys: Vec<(f64, f64, &[f32])> = Vec::new();
                    for Segment { q, k, v, mask } in &segments {
                        for slot in 0..k.shape()[2] {
                            if sees(*mask, self.first_query + query, slot) {
                                let q = q.row(batch, head, query);
                                let k = k.row(batch, head / shape.groups, slot);
                                let v = v.row(batch, head / shape.groups, slot);
                                let terms = q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k));
                                let scale = f64::from(softmax.scale);
                                let score = terms.clone().sum::<f64>() * scale;
                                let size = terms.map(f64::abs).sum::<f64>() * scale;
                                let score = softmax
                                    .soft_cap
                                    .map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh());
                                keys.push((score, size, v));
                            }
                        }
                    }
                    let sink = softmax.sinks.map(|sinks| f64::from(sinks[head]));
                    let scores = keys.iter().map(|(score, ..)| *score);
                    let max = scores.chain(sink).fold(f64::MIN, f64::max);
                    let weights: Vec<f64> = keys.iter().map(|(score, ..)| (score - max).exp()).collect();
                    let sum = weights.iter().sum::<f64>() + sink.map_or(0.0, |sink| (sink - max).exp());
                    // A sum of n products in any order is off by at most n u times that of their sizes; and e^x, by
                    // as much relatively as x absolutely, which counts twice: in the weights and in their sum.
                    let size = keys.iter().map(|(_, size, _)| *size).fold(0.0, f64::max);
                    let roundings = shape.head_dim as f64 + if softmax.soft_cap.is_some() { 24.0 } else { 8.0 };
                    let values = keys.iter().flat_map(|(.., v)| *v);
                    let largest = values.fold(0.0, |max: f64, v| max.max(f64::from(v.abs())));
                    let bound = (2.0 * roundings * size + 3.0 * keys.len() as f64 + 20.0) * largest * 2f64.powi(-24);
                    for at in 0..shape.head_dim {
                        let weighted = weights.iter().zip(&keys);
                        let weighted: f64 = weighted.map(|(weight, (.., v))| weight * f64::from(v[at])).sum();
                        out.push(if keys.is_empty() { 0.0 } else { weighted / sum });
                        bounds.push(bound);
                    }
                }
            }
        }
        (out, bounds)
    }
}
