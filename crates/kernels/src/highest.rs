//! The highest of some numbers.

use crate::isa::vectorized;

/// The highest number, -inf of none, and whether all are below +inf and none is NaN.
pub fn highest(numbers: &[f32]) -> (f32, bool) {
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
    (highest.into_iter().fold(f32::NEG_INFINITY, f32::max), outside == [0; LANES])
}

#[cfg(test)]
mod tests {
    use super::*;

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
