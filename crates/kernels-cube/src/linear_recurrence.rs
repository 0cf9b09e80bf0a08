//! `h[t] = a[t] h[t - 1] + u[t]`; one unit for each column.

use burn::tensor::{DType, Tensor};
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

use super::{AdapterClass, empty, like, primitive, tensor};

/// `a`, `u` `[batch, tokens, width]`, `state` `[batch, width]`, all in float32 -> `h` as `u`, the last `h`
pub fn linear_recurrence(
    class: AdapterClass,
    a: &Tensor<3>,
    u: &Tensor<3>,
    state: Option<&Tensor<2>>,
) -> Option<(Tensor<3>, Tensor<2>)> {
    let shape @ [batch, tokens, width] = u.dims();
    assert_eq!(a.dims(), shape, "a decay for each number");
    if shape.contains(&0) || [a.dtype(), u.dtype()] != [DType::F32; 2] {
        return None;
    }
    let (a, u) = (into_contiguous(primitive(a)?), into_contiguous(primitive(u)?));
    // Any buffer will do where there is no state: it is not read.
    let before = match state {
        Some(state) => into_contiguous(primitive(&state.clone().cast(DType::F32))?),
        None => u.clone(),
    };
    let (h, last) = (like(&u), empty(&u, [batch, width]));
    let (columns, units) = (batch * width, class.units());
    // SAFETY: units beyond the last column do nothing.
    unsafe {
        linear_recurrence_kernel::launch_unchecked(
            &u.client.clone(),
            super::count(columns.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            a.into_buffer_arg(),
            u.into_buffer_arg(),
            before.into_buffer_arg(),
            h.clone().into_buffer_arg(),
            last.clone().into_buffer_arg(),
            columns,
            tokens,
            width,
            state.is_some(),
        );
    }
    Some((tensor(h), tensor(last)))
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn linear_recurrence_kernel(
    a: &[f32],
    u: &[f32],
    before: &[f32],
    h: &mut [f32],
    last: &mut [f32],
    columns: usize,
    tokens: usize,
    width: usize,
    #[comptime] has_state: bool,
) {
    if ABSOLUTE_POS < columns {
        let first = ABSOLUTE_POS / width * tokens * width + ABSOLUTE_POS % width;
        let mut kept = 0.0f32;
        if has_state {
            kept = before[ABSOLUTE_POS];
        }
        for token in 0..tokens {
            let at = first + token * width;
            kept = a[at] * kept + u[at];
            h[at] = kept;
        }
        last[ABSOLUTE_POS] = kept;
    }
}
