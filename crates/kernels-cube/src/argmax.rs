//! The most probable token of each row of logits, so that they need not be read back.

use burn::tensor::{DType, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::prelude::*;

use super::{Machine, empty, primitive, reduce, tensor};

/// Logits of one cube.
const STRETCH: usize = 4096;

/// Up to here a float32 is any whole number.
const MOST: usize = 1 << 24;

/// What is known of some logits: the id of the best, its logit, and the sum of `exp(logit - best)`.
const KNOWN: usize = 3;

pub fn argmax(machine: Machine, logits: &Tensor<2>) -> Option<Tensor<2>> {
    let [n, vocab] = logits.dims();
    if n * vocab == 0 || vocab > MOST {
        return None;
    }
    let logits = into_contiguous(primitive(logits)?);
    if logits.dtype != DType::F32 {
        return None;
    }
    let stretches = vocab.div_ceil(STRETCH);
    let parts = empty(&logits, [n, stretches, KNOWN]);
    let best = empty(&logits, [n, KNOWN]);
    let units = machine.units();
    let launch = |from: CubeTensor, to: &CubeTensor, len: usize, stretches: usize, joins: bool| {
        // SAFETY: each cube stays in its stretch, and cubes beyond the last do nothing.
        unsafe {
            kernel::launch_unchecked(
                &to.client.clone(),
                super::count(n * stretches),
                CubeDim::new_1d(units as u32),
                from.into_buffer_arg(),
                to.clone().into_buffer_arg(),
                n * stretches,
                stretches,
                len,
                units,
                joins,
            );
        }
    };
    launch(logits, &parts, vocab, stretches, false);
    launch(parts, &best, stretches, 1, true);
    Some(tensor(best))
}

/// The best of each stretch of each of the rows, `len` long; of logits, or of what is known of stretches already.
#[cube(launch_unchecked)]
fn kernel(
    from: &[f32],
    to: &mut [f32],
    cubes: usize,
    stretches: usize,
    len: usize,
    #[comptime] units: usize,
    #[comptime] joins: bool,
) {
    if CUBE_POS < cubes {
        let unit = UNIT_POS_X as usize;
        let row = CUBE_POS / stretches * len;
        let start = CUBE_POS % stretches * STRETCH;
        let end = usize::min(start + STRETCH, len);

        let mut ranks = Shared::<[u32]>::new_slice(units);
        let mut places = Shared::<[u32]>::new_slice(units);
        let mut highest = 0u32;
        let mut place = end as u32;
        let mut at = start + unit;
        while at < end {
            let other = rank(logit(from, row + at, joins));
            // Nothing has rank 0, and of equal ones the first stays.
            if other > highest {
                highest = other;
                place = at as u32;
            }
            at += units;
        }
        ranks[unit] = highest;
        places[unit] = place;
        reduce::first_highest(&mut ranks, &mut places, units);
        let place = places[0] as usize;
        let best = logit(from, row + place, joins);

        let mut sum = 0.0f32;
        let mut at = start + unit;
        while at < end {
            let share = f32::exp(logit(from, row + at, joins) - best);
            if joins {
                sum += share * from[(row + at) * KNOWN + 2];
            } else {
                sum += share;
            }
            at += units;
        }
        let mut shared = Shared::<[f32]>::new_slice(units);
        shared[unit] = sum;
        reduce::sum(&mut shared, units, units, 1usize);
        if unit == 0 {
            let out = CUBE_POS * KNOWN;
            to[out + 1] = best;
            if joins {
                to[out] = from[(row + place) * KNOWN];
                // Of a token, relative to the sum of all.
                to[out + 2] = -f32::ln(shared[0]);
            } else {
                to[out] = f32::cast_from(place);
                to[out + 2] = shared[0];
            }
        }
    }
}

#[cube]
fn logit(from: &[f32], at: usize, #[comptime] joins: bool) -> f32 {
    if joins {
        from[at * KNOWN + 1]
    } else {
        from[at]
    }
}

/// Orders logits as whole numbers, because shaders may take it that no float is infinite or none at all. What is no logit,
/// NaN and +inf, is above all, and the two zeros are equal.
#[cube]
fn rank(logit: f32) -> u32 {
    let bits = u32::reinterpret(logit);
    let size = bits & 0x7fff_ffff;
    let ordered = select(bits == size, size + 0x8000_0000, 0x8000_0000 - size);
    select(
        size > 0x7f80_0000 || bits == 0x7f80_0000,
        0xffff_ffffu32,
        ordered,
    )
}
