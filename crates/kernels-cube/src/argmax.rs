//! The most probable token of each row of logits, so that they need not be read back.

use burn::tensor::{DType, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{AdapterClass, empty, primitive, reduce, tensor};

/// Logits of one cube.
const CHUNK: usize = 4096;

/// Up to here float32 has every integer, and so every id.
pub(super) const MAX_VOCAB: usize = 1 << 24;

/// Numbers of a result for some logits: the id of the best, its logit, and the sum of `exp(logit - best)`.
pub(super) const RESULT: usize = 3;

pub fn argmax(class: AdapterClass, logits: &Tensor<2>) -> Option<Tensor<2>> {
    let [n, vocab] = logits.dims();
    if n * vocab == 0 || vocab > MAX_VOCAB {
        return None;
    }
    let logits = into_contiguous(primitive(logits)?);
    if logits.dtype != DType::F32 {
        return None;
    }
    let chunks = vocab.div_ceil(CHUNK);
    let parts = empty(&logits, [n, chunks, RESULT]);
    let best = empty(&logits, [n, RESULT]);
    let units = class.units();
    let launch = |from: CubeTensor, to: &CubeTensor, len: usize, chunks: usize, joins: bool| {
        // SAFETY: each cube stays in its chunk, and cubes beyond the last do nothing.
        unsafe {
            argmax_kernel::launch_unchecked(
                &to.client.clone(),
                super::count(n * chunks),
                CubeDim::new_1d(units as u32),
                from.into_buffer_arg(),
                to.clone().into_buffer_arg(),
                n * chunks,
                chunks,
                len,
                units,
                joins,
            );
        }
    };
    launch(logits, &parts, vocab, chunks, false);
    launch(parts, &best, chunks, 1, true);
    Some(tensor(best))
}

/// The best of each chunk of each row, `len` long: of logits, or of the results of chunks.
#[cube(launch_unchecked)]
fn argmax_kernel(
    from: &[f32],
    to: &mut [f32],
    cubes: usize,
    chunks: usize,
    len: usize,
    #[comptime] units: usize,
    #[comptime] joins: bool,
) {
    if CUBE_POS < cubes {
        let unit = UNIT_POS_X as usize;
        let row = CUBE_POS / chunks * len;
        let start = CUBE_POS % chunks * CHUNK;
        let end = usize::min(start + CHUNK, len);

        let id = first_best(from, row, start, end, units, joins);
        let best = logit(from, row + id, joins);

        let mut sum = 0.0f32;
        let mut at = start + unit;
        while at < end {
            let weight = f32::exp(logit(from, row + at, joins) - best);
            if joins {
                sum += weight * from[(row + at) * RESULT + 2];
            } else {
                sum += weight;
            }
            at += units;
        }
        let mut shared = Shared::<[f32]>::new_slice(units);
        shared[unit] = sum;
        reduce::sum(&mut shared, units, units, 1usize);
        if unit == 0 {
            let out = CUBE_POS * RESULT;
            to[out + 1] = best;
            if joins {
                to[out] = from[(row + id) * RESULT];
                // Of the token, relative to the sum of all.
                to[out + 2] = -f32::ln(shared[0]);
            } else {
                to[out] = f32::cast_from(id);
                to[out + 2] = shared[0];
            }
        }
    }
}

#[cube]
fn logit(from: &[f32], at: usize, #[comptime] joins: bool) -> f32 {
    if joins { from[at * RESULT + 1] } else { from[at] }
}

/// Of the numbers from `start` to `end` of a row the first of the highest: all units have it.
#[cube]
pub(super) fn first_best(
    from: &[f32],
    row: usize,
    start: usize,
    end: usize,
    #[comptime] units: usize,
    #[comptime] joins: bool,
) -> usize {
    let unit = UNIT_POS_X as usize;
    let mut ranks = Shared::<[u32]>::new_slice(units);
    let mut ids = Shared::<[u32]>::new_slice(units);
    let mut highest = 0u32;
    let mut id = end as u32;
    let mut at = start + unit;
    while at < end {
        let other = rank(logit(from, row + at, joins));
        // Nothing has rank 0, and of equal ones the first stays.
        if other > highest {
            highest = other;
            id = at as u32;
        }
        at += units;
    }
    ranks[unit] = highest;
    ids[unit] = id;
    reduce::first_highest(&mut ranks, &mut ids, units);
    ids[0] as usize
}

/// Orders logits as integers: shaders may assume that no float is infinite or NaN. NaN and +inf, which are no logits, are
/// above all, and the two zeros are equal.
#[cube]
pub(super) fn rank(logit: f32) -> u32 {
    let bits = u32::reinterpret(logit);
    let size = bits & 0x7fff_ffff;
    let ordered = select(bits == size, size + 0x8000_0000, 0x8000_0000 - size);
    select(size > 0x7f80_0000 || bits == 0x7f80_0000, 0xffff_ffffu32, ordered)
}
