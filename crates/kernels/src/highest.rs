//! The highest of some numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::{isa::vectorized, share::share};

/// Numbers whose highest is found before it is asked where it is.
const BLOCK: usize = 1024;

/// Blocks of a piece that a thread takes. The head has written as many numbers at a time, and they are in its thread's cache.
const BLOCKS: usize = 4;

/// The place of the highest number, the first of equal ones, where 0 is equal to -0; the number itself; and whether all are below
/// +inf and none is NaN. If one is, nothing is said of the place, and neither if all are -inf.
pub fn first_highest(numbers: &[f32]) -> (usize, f32, bool) {
    if numbers.is_empty() {
        return (0, f32::NEG_INFINITY, true);
    }
    // The highest so far and the first block that has it, as numbers of which the larger is wanted.
    let best = AtomicU64::new(0);
    let is_finite = AtomicBool::new(true);
    let pieces = numbers.len().div_ceil(BLOCKS * BLOCK);
    share(rayon::current_num_threads(), pieces, |piece| {
        let blocks = numbers.chunks(BLOCK).enumerate().skip(piece * BLOCKS).take(BLOCKS);
        for (block, numbers) in blocks {
            let (of_block, all_finite) = highest(numbers);
            if !all_finite {
                is_finite.store(false, Relaxed);
            }
            best.fetch_max(u64::from(in_order(of_block)) << 32 | u64::from(u32::MAX - block as u32), Relaxed);
        }
    });
    let first = (u32::MAX - best.into_inner() as u32) as usize * BLOCK;
    let block = &numbers[first..numbers.len().min(first + BLOCK)];
    let (value, _) = highest(block);
    let within = block.iter().position(|number| *number == value);
    (first + within.unwrap_or_default(), value, is_finite.into_inner())
}

/// Integers in the order of the numbers; one for 0 and -0.
fn in_order(number: f32) -> u32 {
    let bits = (number + 0.0).to_bits();
    if number < 0.0 { !bits } else { bits | 1 << 31 }
}

/// The highest number, -inf of none, and whether all are below +inf and none is NaN.
fn highest(numbers: &[f32]) -> (f32, bool) {
    vectorized(
        #[inline(always)]
        || by_lane(numbers),
    )
}

/// Lane by lane, as processors compare several at a time.
#[inline(always)]
fn by_lane(numbers: &[f32]) -> (f32, bool) {
    const LANES: usize = 64;
    let mut highest = [f32::NEG_INFINITY; LANES];
    let mut outside = [0_u32; LANES];
    let (whole, rest) = numbers.as_chunks::<LANES>();
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    for values in whole.iter().chain([&last]) {
        for ((highest, outside), &value) in highest.iter_mut().zip(&mut outside).zip(values) {
            *highest = if value > *highest { value } else { *highest };
            *outside |= u32::from(value.is_nan() | (value == f32::INFINITY));
        }
    }
    // Halves beside each other: lane after lane each comparison would wait for the last.
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        let (low, high) = highest.split_at_mut(width);
        for (low, high) in low.iter_mut().zip(high) {
            *low = if *high > *low { *high } else { *low };
        }
    }
    (highest[0], outside == [0; LANES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_highest_is_found_by_any_number_of_threads() {
        assert_eq!(first_highest(&[]), (0, f32::NEG_INFINITY, true));
        let pools = [1, 2, 5].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        for len in [1, 2, 1023, 1024, 1025, 4096, 4097, 30_000] {
            for seed in 0..20 {
                // Some values often, both zeros among them, or all below zero.
                let number =
                    |i: usize| [-0.0, 0.0, -3.5, -7.0, 2.0, f32::NEG_INFINITY][(i * 7919 + seed * 31) % 97 % 6];
                let mut numbers: Vec<f32> =
                    (0..len).map(|i| number(i) - if seed % 3 == 0 { 9.0 } else { 0.0 }).collect();
                if seed % 4 > 1 {
                    numbers[(seed * 1237) % len] = 3.0;
                }
                let value = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let at = numbers.iter().position(|number| *number == value).unwrap();
                for pool in &pools {
                    assert_eq!(pool.install(|| first_highest(&numbers)), (at, value, true), "{seed}, {len}");
                }
                numbers[(seed * 811) % len] = [f32::NAN, f32::INFINITY][seed % 2];
                assert!(!first_highest(&numbers).2);
            }
        }
    }

    #[test]
    fn it_is_that_of_a_fold() {
        assert_eq!(highest(&[]), (f32::NEG_INFINITY, true));
        for len in [1, 2, 63, 64, 65, 1000] {
            let numbers: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32) - 200.0).collect();
            let expected = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(highest(&numbers), (expected, true));
            for outside in [f32::NAN, f32::INFINITY] {
                for at in [0, len / 2, len - 1] {
                    let mut numbers = numbers.clone();
                    numbers[at] = outside;
                    assert!(!highest(&numbers).1, "{outside} at {at} of {len}");
                }
            }
        }
    }
}
