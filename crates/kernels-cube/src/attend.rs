//! Attention over the keys and values where they lie; one cube for each query of each head.

use std::{cell::RefCell, collections::VecDeque};

use burn::tensor::Tensor;
use burn_cubecl::{CubeDevice, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*, server::Handle};

use super::{Machine, Strided, elem, empty, primitive, reduce, tensor, vector_size};
use glass_kernels::Visible;

/// On an adapter with matrix units, longer stretches of queries are theirs.
const MOST_QUERIES: usize = 8;

/// Keys whose scores are held at once.
const STRETCH: usize = 128;

/// Less than any score, but a number: the difference of two of these is one, too.
const LOWEST: f32 = -1e30;

pub fn attend(
    machine: Machine,
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    visible: &Visible,
    scale: f64,
) -> Option<Tensor<4>> {
    let [batch, heads, queries, head_dim] = q.dims();
    let [_, kv_heads, _, _] = k.dims();
    let cubes = batch * heads * queries;
    let most = if machine.software {
        usize::MAX
    } else {
        MOST_QUERIES
    };
    if cubes * head_dim == 0 || queries > most || head_dim > 256 {
        return None;
    }
    let vector = vector_size(head_dim);
    let of = |x: &Tensor<4>| Some(Strided::of(primitive(x)?, vector));
    let (q, k, v) = (of(q)?, of(k)?, of(v)?);
    if k.tensor.dtype != q.tensor.dtype || v.tensor.dtype != q.tensor.dtype {
        return None;
    }
    let runs: Vec<u32> = visible.words().collect();
    let words = runs.len();
    let client = q.tensor.client.clone();
    let runs = uploaded(&q.tensor, runs);
    // In memory one token after the other, as the projection that comes next wants them.
    let out = empty(&q.tensor, [batch, queries, heads, head_dim]);
    let shape = Shape::of(machine, head_dim / vector);
    // SAFETY: what a query sees lies within the keys, and cubes beyond the last do nothing.
    unsafe {
        kernel::launch_unchecked(
            &client,
            super::count(cubes),
            CubeDim::new_1d(shape.units() as u32),
            vector,
            q.tensor.clone().into_buffer_arg(),
            k.tensor.clone().into_buffer_arg(),
            v.tensor.clone().into_buffer_arg(),
            BufferArg::from_raw_parts(runs, words),
            out.clone().into_buffer_arg(),
            strides(&q),
            strides(&k),
            strides(&v),
            cubes,
            heads,
            queries,
            heads / kv_heads,
            if visible.rows() == 1 { 0 } else { queries },
            visible.rows() * queries,
            scale as f32,
            shape,
            elem(&q.tensor),
        );
    }
    let by_token: Tensor<4> = tensor(out);
    Some(by_token.swap_dims(1, 2)) // [batch, heads, queries, head_dim]
}

/// The words on the adapter of `beside`.
///
/// Most layers of a pass see the same, and whatever is written while kernels are queued hands them in first, so that what was
/// written last is kept.
fn uploaded(beside: &CubeTensor, words: Vec<u32>) -> Handle {
    thread_local! {
        static KEPT: RefCell<VecDeque<(CubeDevice, Vec<u32>, Handle)>> = RefCell::default();
    }
    KEPT.with_borrow_mut(|kept| {
        let same = |(device, old, _): &&(CubeDevice, Vec<u32>, Handle)| {
            *device == beside.device && *old == words
        };
        if let Some((_, _, handle)) = kept.iter().find(same) {
            return handle.clone();
        }
        // One for the layers that see everything, and one for those with a window.
        kept.truncate(1);
        let handle = beside
            .client
            .create_from_slice(bytemuck::cast_slice(&words));
        kept.push_front((beside.device.clone(), words, handle.clone()));
        handle
    })
}

/// How the units of a cube share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    /// Vectors of a head, each the business of one unit.
    vectors: usize,
    /// Parties that take turns at the values.
    parties: usize,
}

impl Shape {
    fn of(machine: Machine, vectors: usize) -> Self {
        let units = if machine.software { 16 } else { 128 };
        Self {
            vectors,
            parties: (units / vectors).max(1),
        }
    }

    fn units(self) -> usize {
        self.vectors * self.parties
    }
}

/// Of batch, head and token, in vectors.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Strides {
    batch: usize,
    head: usize,
    token: usize,
}

fn strides(x: &Strided) -> StridesLaunch {
    let [batch, head, token] = x.strides;
    StridesLaunch::new(batch, head, token)
}

/// Online softmax (Milakov and Gimelshein 2018, arXiv:1805.02867) over stretches of the keys that a query sees.
///
/// `runs` are where the runs of each query begin, `lists` of them and the end, and then the runs, two words each.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn kernel<F: Float, N: Size>(
    q: &[Vector<F, N>],
    k: &[Vector<F, N>],
    v: &[Vector<F, N>],
    runs: &[u32],
    out: &mut [Vector<F, N>],
    of_q: Strides,
    of_k: Strides,
    of_v: Strides,
    cubes: usize,
    heads: usize,
    queries: usize,
    groups: usize,
    lists_by_batch: usize,
    lists: usize,
    scale: f32,
    #[comptime] shape: Shape,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS < cubes {
        let units = comptime!(shape.units());
        let vectors = shape.vectors;
        let unit = UNIT_POS_X as usize;
        let (lane, party) = (unit % vectors, unit / vectors);
        let head = CUBE_POS % heads;
        let query = CUBE_POS / heads % queries;
        let batch = CUBE_POS / heads / queries;
        let q_at = batch * of_q.batch + head * of_q.head + query * of_q.token;
        let k_at = batch * of_k.batch + head / groups * of_k.head;
        let v_at = batch * of_v.batch + head / groups * of_v.head;

        let mut scores = Shared::<[f32]>::new_slice(STRETCH);
        let mut shared = Shared::<[f32]>::new_slice(units);
        let mut highest = f32::new(LOWEST);
        let mut weight = 0.0f32;
        let mut mixed = Vector::<f32, N>::new(0.0f32);

        let list = batch * lists_by_batch + query;
        for run in runs[list] as usize..runs[list + 1] as usize {
            let mut from = runs[lists + 1 + 2 * run] as usize;
            let end = runs[lists + 2 + 2 * run] as usize;
            while from < end {
                let len = usize::min(end - from, STRETCH);
                let mut own = f32::new(LOWEST);
                let mut key = unit;
                while key < len {
                    let at = k_at + (from + key) * of_k.token;
                    let mut products = Vector::<f32, N>::new(0.0f32);
                    for i in 0..vectors {
                        products += Vector::<f32, N>::cast_from(q[q_at + i])
                            * Vector::<f32, N>::cast_from(k[at + i]);
                    }
                    let score = Vector::vector_sum(products) * scale;
                    scores[key] = score;
                    own = f32::max(own, score);
                    key += units;
                }
                shared[unit] = own;
                reduce::max(&mut shared, units);

                let before = highest;
                highest = f32::max(before, shared[0]);
                let fade = f32::exp(before - highest);
                weight *= fade;
                mixed *= Vector::new(fade);
                let mut key = party;
                while key < len {
                    let share = f32::exp(scores[key] - highest);
                    let at = v_at + (from + key) * of_v.token + lane;
                    weight += share;
                    mixed += Vector::<f32, N>::cast_from(v[at]) * Vector::new(share);
                    key += shape.parties;
                }
                // The next stretch overwrites what is read here.
                sync_cube();
                from += STRETCH;
            }
        }

        let size = N::value();
        let mut all = Shared::<[f32]>::new_slice(comptime!(units * 5));
        #[unroll]
        for i in 0..size {
            all[i * units + unit] = mixed.extract(i);
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
            let at = ((batch * queries + query) * heads + head) * vectors + lane;
            // A query that sees nothing has summed nothing.
            let share = select(total > 0.0f32, 1.0f32 / total, 0.0f32);
            out[at] = Vector::cast_from(sum * Vector::new(share));
        }
    }
}
