//! Attention over the keys and values where they lie; one cube for each query of each head, or some for parts of its keys, or
//! one for a tile of queries.

use burn::tensor::{DType, Tensor};
use burn_cubecl::kernel::into_contiguous;
use cubecl::{ir::ElemType, prelude::*};
use glass_kernels::KeyMask;

use super::{
    AdapterClass, Strided,
    attend_parts::{self, PART, Parts, normalized, tanh},
    attend_tiles, elem, empty, empty_of,
    mask::{Numbers, mask_of, numbers},
    place::Place,
    primitive, reduce, tensor, vector_size,
};

/// Up to as many queries, each has cubes of its own; more are taken in tiles.
const MAX_QUERIES: usize = 8;

/// Keys whose scores are held at once.
const CHUNK: usize = 128;

/// A score below all others, but finite: the difference of two of these is a number, too.
pub(super) const LOWEST: f32 = -1e30;

/// How scores become probabilities.
#[derive(Clone, Copy, Debug)]
pub struct Softmax<'a> {
    /// A score is `scale * q . k`.
    pub scale: f32,
    /// Scores are capped, before masking: `soft_cap * tanh(score / soft_cap)`.
    pub soft_cap: Option<f32>,
    /// Learned sinks `[heads]`: one more logit in the denominator, without a value.
    pub sinks: Option<&'a Tensor<1>>,
}

/// `q` `[batch, heads, queries, head_dim]`, `k` and `v` `[batch, kv_heads, keys, head_dim]` of one type -> as `q`
pub fn attend(
    class: AdapterClass,
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    mask: KeyMask,
    first_query: usize,
    softmax: Softmax<'_>,
) -> Option<Tensor<4>> {
    let [batch, heads, queries, head_dim] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    let cubes = batch * heads * queries;
    if cubes * head_dim * keys == 0 || head_dim > 256 {
        return None;
    }
    let vector = vector_size(head_dim);
    let strided = |x: &Tensor<4>| Some(Strided::of(primitive(x)?, vector));
    let (q, k, v) = (strided(q)?, strided(k)?, strided(v)?);
    if k.tensor.dtype != v.tensor.dtype {
        return None;
    }
    // Any buffer will do where there are no sinks: it is not read.
    let sinks = match softmax.sinks {
        Some(sinks) => {
            assert_eq!(sinks.dims(), [heads], "a sink for each head");
            into_contiguous(primitive(sinks)?)
        }
        None => q.tensor.clone(),
    };
    let sinks_elem = elem(&sinks);
    // In memory one token after the other, as the projection that comes next wants them.
    let out = empty(&q.tensor, [batch, queries, heads, head_dim]);
    // A view has all of its buffer, which is as long for each token.
    let [k, v] = [k, v].map(Strided::unbounded);
    let place = Place::of(first_query, &q.tensor)?;
    let numbers = numbers(mask, keys, first_query);
    if queries > MAX_QUERIES {
        attend_tiles::attend(vector, &[q, k, v], &sinks, &out, &place, numbers, &softmax);
        let by_token: Tensor<4> = tensor(out);
        return Some(by_token.swap_dims(1, 2)); // [batch, heads, queries, head_dim]
    }
    let parts = Parts::of(class, cubes, mask.window.unwrap_or(keys).min(keys));
    // Of each part: its sum of values, and two vectors with the highest score and the sum of weights.
    let split = parts.0 > 1;
    let to =
        if split { empty_of(&q.tensor, [cubes * parts.0, head_dim + 2 * vector], DType::F32) } else { out.clone() };
    let shape = Shape::of(class, head_dim / vector);
    // SAFETY: the slots that a query sees lie within the keys, and cubes beyond the last do nothing.
    unsafe {
        attend_kernel::launch_unchecked(
            &q.tensor.client.clone(),
            super::count(cubes * parts.0),
            CubeDim::new_1d(shape.units() as u32),
            vector,
            q.tensor.clone().into_buffer_arg(),
            k.tensor.clone().into_buffer_arg(),
            v.tensor.clone().into_buffer_arg(),
            sinks.clone().into_buffer_arg(),
            to.clone().into_buffer_arg(),
            place.high.into_buffer_arg(),
            place.low.into_buffer_arg(),
            strides(&q),
            strides(&k),
            strides(&v),
            numbers,
            cubes,
            parts.0,
            heads,
            queries,
            heads / kv_heads,
            softmax.scale,
            softmax.soft_cap.unwrap_or(1.0),
            shape,
            softmax.soft_cap.is_some(),
            softmax.sinks.is_some(),
            split,
            elem(&q.tensor),
            elem(&k.tensor),
            sinks_elem,
            elem(&to),
        );
    }
    if split {
        attend_parts::join(class, to, parts, sinks, softmax.sinks.is_some(), &out, vector);
    }
    let by_token: Tensor<4> = tensor(out);
    Some(by_token.swap_dims(1, 2)) // [batch, heads, queries, head_dim]
}

/// How the units of a cube share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    /// Vectors of a head, each computed by one unit of a party.
    vectors: usize,
    /// Parties, each of which takes every so-many-th value.
    parties: usize,
}

impl Shape {
    fn of(class: AdapterClass, vectors: usize) -> Self {
        let units = if class.software { 16 } else { 128 };
        Self { vectors, parties: (units / vectors).max(1) }
    }

    fn units(self) -> usize {
        self.vectors * self.parties
    }
}

/// Strides of batch, head and token, in vectors.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Strides {
    pub batch: usize,
    pub head: usize,
    pub token: usize,
}

pub(super) fn strides(x: &Strided) -> StridesLaunch {
    let [batch, head, token] = x.strides;
    StridesLaunch::new(batch, head, token)
}

/// Online softmax (Milakov and Gimelshein 2018, arXiv:1805.02867) over chunks of the keys that a query sees: at most two runs
/// of slots.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments, clippy::manual_div_ceil)]
fn attend_kernel<F: Float, K: Float, S: Float, O: Float, N: Size>(
    q: &[Vector<F, N>],
    k: &[Vector<K, N>],
    v: &[Vector<K, N>],
    sinks: &[S],
    out: &mut [Vector<O, N>],
    high: &[u32],
    low: &[u32],
    of_q: Strides,
    of_k: Strides,
    of_v: Strides,
    numbers: Numbers,
    cubes: usize,
    parts: usize,
    heads: usize,
    queries: usize,
    groups: usize,
    scale: f32,
    cap: f32,
    #[comptime] shape: Shape,
    #[comptime] has_cap: bool,
    #[comptime] has_sinks: bool,
    #[comptime] split: bool,
    #[define(F)] _dtype: ElemType,
    #[define(K)] _key_dtype: ElemType,
    #[define(S)] _sink_dtype: ElemType,
    #[define(O)] _out_dtype: ElemType,
) {
    if CUBE_POS < cubes * parts {
        let mask = mask_of(&numbers, high, low);
        let units = comptime!(shape.units());
        let vectors = shape.vectors;
        let unit = UNIT_POS_X as usize;
        let (lane, party) = (unit % vectors, unit / vectors);
        let row = CUBE_POS / parts;
        let head = row % heads;
        let query = row / heads % queries;
        let batch = row / heads / queries;
        let q_at = batch * of_q.batch + head * of_q.head + query * of_q.token;
        let k_at = batch * of_k.batch + head / groups * of_k.head;
        let v_at = batch * of_v.batch + head / groups * of_v.head;

        let mut scores = Shared::<[f32]>::new_slice(CHUNK);
        let mut shared = Shared::<[f32]>::new_slice(units);
        let mut max = f32::new(LOWEST);
        let mut weight = 0.0f32;
        let mut values = Vector::<f32, N>::new(0.0f32);

        // The positions that the query sees, and the slots that hold them: from `start` on, and behind the last slot from
        // the first on.
        let after = mask.first_query + query + 1;
        let until = usize::min(after, mask.end);
        let first = usize::max(after - usize::min(mask.window, after), mask.first_key);
        let all = until - usize::min(first, until);
        // Of these, the part of this cube: whole chunks, but at the end, and as many as are worth a cube.
        let least_chunks = comptime!(if split { PART / CHUNK } else { 1 });
        let chunks = (all + CHUNK - 1) / CHUNK;
        let len = usize::max((chunks + parts - 1) / parts, least_chunks) * CHUNK;
        let before = usize::min(CUBE_POS % parts * len, all);
        let seen = usize::min(len, all - before);
        let since = first + before;
        let start = (since - mask.origin) % mask.keys;
        let wrapped = start + seen - usize::min(start + seen, mask.keys);
        for run in 0..2usize {
            let mut from = select(run == 0, 0, start);
            let end = select(run == 0, wrapped, start + seen - wrapped);
            while from < end {
                let len = usize::min(end - from, CHUNK);
                let mut own = f32::new(LOWEST);
                let mut key = unit;
                while key < len {
                    let at = k_at + (from + key) * of_k.token;
                    let mut products = Vector::<f32, N>::new(0.0f32);
                    for i in 0..vectors {
                        products += Vector::<f32, N>::cast_from(q[q_at + i]) * Vector::<f32, N>::cast_from(k[at + i]);
                    }
                    let mut score = Vector::vector_sum(products) * scale;
                    if has_cap {
                        score = cap * tanh(score / cap);
                    }
                    scores[key] = score;
                    own = f32::max(own, score);
                    key += units;
                }
                shared[unit] = own;
                reduce::max(&mut shared, units);

                let before = max;
                max = f32::max(before, shared[0]);
                let factor = f32::exp(before - max);
                weight *= factor;
                values *= Vector::new(factor);
                let mut key = party;
                while key < len {
                    let own = f32::exp(scores[key] - max);
                    let at = v_at + (from + key) * of_v.token + lane;
                    weight += own;
                    values += Vector::<f32, N>::cast_from(v[at]) * Vector::new(own);
                    key += shape.parties;
                }
                // The next chunk overwrites what is read here.
                sync_cube();
                from += CHUNK;
            }
        }

        let size = N::value();
        let mut all = Shared::<[f32]>::new_slice(comptime!(units * 5));
        #[unroll]
        for i in 0..size {
            all[i * units + unit] = values.extract(i);
        }
        all[size * units + unit] = weight;
        sync_cube();
        if unit < vectors {
            let mut total = 0.0f32;
            let mut sum = Vector::<f32, N>::new(0.0f32);
            for party in 0..shape.parties {
                let other = party * vectors + lane;
                total += all[size * units + other];
                let mut part = Vector::<f32, N>::new(0.0f32);
                #[unroll]
                for i in 0..size {
                    part.insert(i, all[i * units + other]);
                }
                sum += part;
            }
            if comptime!(split) {
                let part = CUBE_POS * (vectors + 2);
                out[part + lane] = Vector::cast_from(sum);
                if lane == 0 {
                    out[part + vectors] = Vector::new(O::cast_from(max));
                    out[part + vectors + 1] = Vector::new(O::cast_from(total));
                }
            } else {
                out[row * vectors + lane] =
                    Vector::cast_from(normalized::<S, N>(sum, total, max, sinks, head, has_sinks));
            }
        }
    }
}
