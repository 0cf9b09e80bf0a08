//! Keys and values rounded to 8 bits.

use crate::{
    isa::vectorized,
    quant::{GROUP_SIZE, ROUND, groups, max_magnitude},
    view::View,
};

/// A scale whose reciprocal may not be a float32 number.
const NEGLIGIBLE: f32 = 1e-37;

/// Vectors as integers of -127 to 127 and, for each 32 of them, a scale: the group's largest magnitude / 127.
///
/// A number is off by at most half a scale (times 1 + 2^-15, as the quotient is rounded too). Groups whose scale is below 1e-37
/// are zeros. A group with an infinity or NaN has the scale NaN.
///
/// `x` `[batch, kv_heads, tokens, head_dim]` -> `quants` `[batch, kv_heads, tokens, 32 groups]`, zeros behind `head_dim`, and
/// `scales` `[batch, kv_heads, tokens, groups]`
///
/// # Panics
/// If shapes do not fit each other.
pub fn quantize_vectors(x: View<'_, f32>, quants: &mut [i8], scales: &mut [f32]) {
    let [batch, heads, tokens, head_dim] = x.shape();
    let groups = groups(head_dim);
    assert_eq!(scales.len(), batch * heads * tokens * groups, "a scale for each group");
    assert_eq!(quants.len(), scales.len() * GROUP_SIZE, "whole groups");
    if quants.is_empty() {
        return;
    }
    vectorized(
        #[inline(always)]
        || {
            let stored = quants.as_chunks_mut::<GROUP_SIZE>().0.chunks_mut(groups).zip(scales.chunks_mut(groups));
            for (at, (quants, scales)) in stored.enumerate() {
                let (head, token) = (at / tokens, at % tokens);
                let vector = x.row(head / heads, head % heads, token).chunks(GROUP_SIZE);
                for (x, (quants, scale)) in vector.zip(quants.iter_mut().zip(scales)) {
                    let mut group = [0.0; GROUP_SIZE];
                    group[..x.len()].copy_from_slice(x);
                    *scale = round(&group, quants);
                }
            }
        },
    );
}

/// Returns the scale.
#[inline(always)]
fn round(group: &[f32; GROUP_SIZE], quants: &mut [i8; GROUP_SIZE]) -> f32 {
    let largest = f32::from_bits(max_magnitude(group));
    let scale = largest / 127.0;
    let inverse = if scale < NEGLIGIBLE { 0.0 } else { 127.0 / largest };
    // In two steps, which compilers make vectors of.
    let mut rounded = [0; GROUP_SIZE];
    for (rounded, x) in rounded.iter_mut().zip(group) {
        *rounded = (x * inverse + ROUND).to_bits();
    }
    for (quant, rounded) in quants.iter_mut().zip(rounded) {
        *quant = rounded as i8;
    }
    if largest.is_finite() { scale } else { f32::NAN }
}
