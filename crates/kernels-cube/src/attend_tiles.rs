//! Attention of many queries: a cube for each tile of them, which passes over the keys tile by tile.
//!
//! FlashAttention-2 (Dao 2023, arXiv:2307.08691) within what WebGPU promises: 128 units of 256, 14.25 kB of shared memory of 16,
//! seven buffers of eight.

use burn_cubecl::tensor::CubeTensor;
use cubecl::{ir::ElemType, prelude::*};

use super::{
    Strided,
    attend::{LOWEST, Softmax, Strides, strides},
    attend_parts::{normalized, tanh},
    elem,
    mask::{Mask, Numbers, NumbersLaunch, mask_of},
    place::Place,
};

/// Queries of a tile: those of all heads that read the same keys.
const ROWS: usize = 32;

/// Keys of a tile.
const KEYS: usize = 32;

/// Vectors of each head in shared memory, and from those of one to those of the next, in other banks.
const SLICE: usize = 8;
const STRIDE: usize = SLICE + 1;

/// Each has two rows, and of these every eighth key and every eighth vector.
const UNITS: usize = 128;
const OF_ROW: usize = 8;
const OWN_ROWS: usize = ROWS * OF_ROW / UNITS;
const OWN_KEYS: usize = KEYS / OF_ROW;

/// `q` `[batch, heads, queries, head_dim]`, `k` and `v` `[batch, kv_heads, keys, head_dim]`, in vectors of so many numbers, to
/// `out` `[batch, queries, heads, head_dim]`; `sinks` is not read where there are none.
pub(super) fn attend(
    vector: usize,
    [q, k, v]: &[Strided; 3],
    sinks: &CubeTensor,
    out: &CubeTensor,
    place: &Place,
    numbers: NumbersLaunch,
    softmax: &Softmax<'_>,
) {
    let [batch, queries, heads, head_dim]: [usize; 4] = out.meta.shape().dims();
    let kv_heads = k.tensor.meta.shape()[1];
    let groups = heads / kv_heads;
    let tiles = (queries * groups).div_ceil(ROWS);
    let cubes = batch * kv_heads * tiles;
    // SAFETY: the slots that a query sees lie within the keys, and cubes beyond the last do nothing.
    unsafe {
        tiles_kernel::launch_unchecked(
            &out.client.clone(),
            super::count(cubes),
            CubeDim::new_1d(UNITS as u32),
            vector,
            q.tensor.clone().into_buffer_arg(),
            k.tensor.clone().into_buffer_arg(),
            v.tensor.clone().into_buffer_arg(),
            sinks.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            place.high.clone().into_buffer_arg(),
            place.low.clone().into_buffer_arg(),
            strides(q),
            strides(k),
            strides(v),
            numbers,
            cubes,
            tiles,
            heads,
            queries,
            groups,
            softmax.scale,
            softmax.soft_cap.unwrap_or(1.0),
            head_dim / vector,
            softmax.soft_cap.is_some(),
            softmax.sinks.is_some(),
            elem(out),
            elem(&k.tensor),
            elem(sinks),
        );
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn tiles_kernel<F: Float, K: Float, S: Float, N: Size>(
    q: &[Vector<F, N>],
    k: &[Vector<K, N>],
    v: &[Vector<K, N>],
    sinks: &[S],
    out: &mut [Vector<F, N>],
    high: &[u32],
    low: &[u32],
    of_q: Strides,
    of_k: Strides,
    of_v: Strides,
    numbers: Numbers,
    cubes: usize,
    tiles: usize,
    heads: usize,
    queries: usize,
    groups: usize,
    scale: f32,
    cap: f32,
    #[comptime] vectors: usize,
    #[comptime] has_cap: bool,
    #[comptime] has_sinks: bool,
    #[define(F)] _dtype: ElemType,
    #[define(K)] _key_dtype: ElemType,
    #[define(S)] _sink_dtype: ElemType,
) {
    if CUBE_POS < cubes {
        let mask = mask_of(&numbers, high, low);
        let slices = comptime!(vectors.div_ceil(SLICE));
        let unit = UNIT_POS_X as usize;
        let (lane, band) = (unit % OF_ROW, unit / OF_ROW);
        let kv_heads = heads / groups;
        let first_row = CUBE_POS % tiles * ROWS;
        let last_row = usize::min(first_row + ROWS, queries * groups) - 1;
        let kv_head = CUBE_POS / tiles % kv_heads;
        let batch = CUBE_POS / tiles / kv_heads;
        let q_at = batch * of_q.batch + kv_head * groups * of_q.head;
        let k_at = batch * of_k.batch + kv_head * of_k.head;
        let v_at = batch * of_v.batch + kv_head * of_v.head;

        let mut of_rows = Shared::<[Vector<f32, N>]>::new_slice(comptime!(ROWS * STRIDE));
        let mut of_keys = Shared::<[Vector<f32, N>]>::new_slice(comptime!(KEYS * STRIDE));
        let mut weights = Shared::<[f32]>::new_slice(comptime!(ROWS * KEYS));
        let mut parts = Shared::<[f32]>::new_slice(comptime!(OWN_ROWS * UNITS));
        let mut max = Array::<f32>::new(OWN_ROWS);
        let mut total = Array::<f32>::new(OWN_ROWS);
        let mut sums = Array::<Vector<f32, N>>::new(comptime!(OWN_ROWS * slices));
        #[unroll]
        for row in 0..OWN_ROWS {
            max[row] = f32::new(LOWEST);
            total[row] = 0.0f32;
            #[unroll]
            for slice in 0..slices {
                sums[row * slices + slice] = Vector::new(0.0f32);
            }
        }

        // The positions that any row sees.
        let (mut start, _) = seen(&mask, first_row / groups);
        let (_, until) = seen(&mask, last_row / groups);
        while start < until {
            let mut scores = Array::<Vector<f32, N>>::new(comptime!(OWN_ROWS * OWN_KEYS));
            #[unroll]
            for score in 0..comptime!(OWN_ROWS * OWN_KEYS) {
                scores[score] = Vector::new(0.0f32);
            }
            #[unroll]
            for slice in 0..slices {
                #[unroll]
                for step in 0..comptime!(ROWS * SLICE / UNITS) {
                    let at = step * UNITS + unit;
                    let vector = slice * SLICE + at % SLICE;
                    let row = usize::min(first_row + at / SLICE, last_row);
                    let mut value = Vector::<f32, N>::new(0.0f32);
                    if vector < vectors {
                        let head = q_at + row % groups * of_q.head + row / groups * of_q.token;
                        value = Vector::cast_from(q[head + vector]);
                    }
                    of_rows[at / SLICE * STRIDE + at % SLICE] = value;
                }
                load::<K, N>(k, &mut of_keys, k_at, of_k.token, &mask, start, until, slice, vectors);
                sync_cube();
                for vector in 0..SLICE {
                    #[unroll]
                    for row in 0..OWN_ROWS {
                        let of_row = of_rows[(band * OWN_ROWS + row) * STRIDE + vector];
                        #[unroll]
                        for key in 0..OWN_KEYS {
                            scores[row * OWN_KEYS + key] += of_row * of_keys[(key * OF_ROW + lane) * STRIDE + vector];
                        }
                    }
                }
                sync_cube();
            }

            let mut own = Array::<f32>::new(comptime!(OWN_ROWS * OWN_KEYS));
            #[unroll]
            for row in 0..OWN_ROWS {
                let query = usize::min(first_row + band * OWN_ROWS + row, last_row) / groups;
                let (first, end) = seen(&mask, query);
                let mut most = f32::new(LOWEST);
                #[unroll]
                for key in 0..OWN_KEYS {
                    let position = start + key * OF_ROW + lane;
                    let mut score = Vector::vector_sum(scores[row * OWN_KEYS + key]) * scale;
                    if has_cap {
                        score = cap * tanh(score / cap);
                    }
                    let score = select(position >= first && position < end, score, f32::new(LOWEST));
                    own[row * OWN_KEYS + key] = score;
                    most = f32::max(most, score);
                }
                parts[row * UNITS + unit] = most;
            }
            sync_cube();
            #[unroll]
            for row in 0..OWN_ROWS {
                let mut most = max[row];
                for other in 0..OF_ROW {
                    most = f32::max(most, parts[row * UNITS + band * OF_ROW + other]);
                }
                let factor = f32::exp(max[row] - most);
                max[row] = most;
                total[row] *= factor;
                #[unroll]
                for slice in 0..slices {
                    sums[row * slices + slice] *= Vector::new(factor);
                }
                #[unroll]
                for key in 0..OWN_KEYS {
                    let score = own[row * OWN_KEYS + key];
                    let weight = select(score > f32::new(LOWEST), f32::exp(score - most), 0.0f32);
                    weights[(band * OWN_ROWS + row) * KEYS + key * OF_ROW + lane] = weight;
                    total[row] += weight;
                }
            }
            #[unroll]
            for slice in 0..slices {
                load::<K, N>(v, &mut of_keys, v_at, of_v.token, &mask, start, until, slice, vectors);
                sync_cube();
                for key in 0..KEYS {
                    let value = of_keys[key * STRIDE + lane];
                    #[unroll]
                    for row in 0..OWN_ROWS {
                        let weight = weights[(band * OWN_ROWS + row) * KEYS + key];
                        sums[row * slices + slice] += value * Vector::new(weight);
                    }
                }
                sync_cube();
            }
            start += KEYS;
        }

        #[unroll]
        for row in 0..OWN_ROWS {
            parts[row * UNITS + unit] = total[row];
        }
        sync_cube();
        #[unroll]
        for row in 0..OWN_ROWS {
            let at = first_row + band * OWN_ROWS + row;
            if at <= last_row {
                let mut total = 0.0f32;
                for other in 0..OF_ROW {
                    total += parts[row * UNITS + band * OF_ROW + other];
                }
                let head = kv_head * groups + at % groups;
                let to = ((batch * queries + at / groups) * heads + head) * vectors;
                #[unroll]
                for slice in 0..slices {
                    let vector = slice * SLICE + lane;
                    if vector < vectors {
                        let sum = sums[row * slices + slice];
                        out[to + vector] =
                            Vector::cast_from(normalized::<S, N>(sum, total, max[row], sinks, head, has_sinks));
                    }
                }
            }
        }
    }
}

/// The first position that a query sees, and the one behind the last.
#[cube]
fn seen(mask: &Mask, query: usize) -> (usize, usize) {
    let after = mask.first_query + query + 1;
    (usize::max(after - usize::min(mask.window, after), mask.first_key), usize::min(after, mask.end))
}

/// A slice of the heads of the keys from position `start` on; behind the last, of that.
#[cube]
#[allow(clippy::too_many_arguments)]
fn load<K: Float, N: Size>(
    from: &[Vector<K, N>],
    to: &mut Shared<[Vector<f32, N>]>,
    head: usize,
    token: usize,
    mask: &Mask,
    start: usize,
    until: usize,
    slice: usize,
    vectors: usize,
) {
    #[unroll]
    for step in 0..comptime!(KEYS * SLICE / UNITS) {
        let at = step * UNITS + UNIT_POS_X as usize;
        let vector = slice * SLICE + at % SLICE;
        let position = usize::min(start + at / SLICE, until - 1);
        let mut value = Vector::<f32, N>::new(0.0f32);
        if vector < vectors {
            value = Vector::cast_from(from[head + (position - mask.origin) % mask.keys * token + vector]);
        }
        to[at / SLICE * STRIDE + at % SLICE] = value;
    }
}
