//! A linear recurrence with a matrix for the state of a head; one unit for each column of it.

use burn::tensor::{DType, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use super::{AdapterClass, Strided, elem, empty, primitive, tensor};

/// Buffers of the kernel, and one for its arguments.
const BINDINGS: u32 = 10;

/// States that a unit holds.
const MAX_STATES: usize = 256;

/// What a scan reads; `glass_kernels::SelectiveScan` is its definition.
#[derive(Clone, Copy, Debug)]
pub struct SelectiveScan<'a> {
    /// `[batch, tokens, heads, head_dim]`
    pub x: &'a Tensor<4>,
    /// `[batch, tokens, heads]`
    pub dt: &'a Tensor<3>,
    /// `[heads, states]` or `[heads, 1]`
    pub a: &'a Tensor<2>,
    /// `[batch, tokens, groups, states]`
    pub b: &'a Tensor<4>,
    /// `[batch, tokens, groups, states]`
    pub c: &'a Tensor<4>,
    /// `[heads]`
    pub d: Option<&'a Tensor<1>>,
    /// `[batch, heads, head_dim, states]`
    pub state: Option<&'a Tensor<4>>,
}

/// -> `y` as `x`, the new state `[batch, heads, head_dim, states]` in float32
pub fn selective_scan(class: AdapterClass, scan: &SelectiveScan<'_>) -> Option<(Tensor<4>, Tensor<4>)> {
    let shape @ [batch, tokens, heads, head_dim] = scan.x.dims();
    let [_, _, groups, states] = scan.b.dims();
    let decays = scan.a.dims()[1];
    assert_eq!(scan.b.dims(), [batch, tokens, groups, states], "inputs for the tokens");
    assert_eq!(scan.c.dims(), scan.b.dims(), "as many outputs as inputs");
    assert!(groups > 0 && heads.is_multiple_of(groups), "{heads} heads in {groups} groups");
    assert_eq!(scan.dt.dims(), [batch, tokens, heads], "a step for each head");
    assert!(scan.a.dims()[0] == heads && (decays == 1 || decays == states), "decays for each head");
    if shape.contains(&0) || states == 0 || states > MAX_STATES {
        return None;
    }
    let strided = |x: &Tensor<4>| Some(Strided::of(primitive(&x.clone().cast(scan.x.dtype()))?, 1));
    let (x, b, c) = (strided(scan.x)?, strided(scan.b)?, strided(scan.c)?);
    if x.tensor.client.properties().hardware.max_bindings < BINDINGS {
        return None;
    }
    // Columns lie side by side, so that neighbours read what lies side by side.
    let order = if head_dim == 1 { [0, 3, 1, 2] } else { [0, 1, 3, 2] };
    let back = if head_dim == 1 { [0, 2, 3, 1] } else { [0, 1, 3, 2] };
    let dt = floats(scan.dt.clone())?;
    let a = floats(scan.a.clone())?;
    // Any buffer will do where there is nothing: it is not read.
    let d = match scan.d {
        Some(d) => floats(d.clone())?,
        None => dt.clone(),
    };
    let before = match scan.state {
        Some(state) => {
            assert_eq!(state.dims(), [batch, heads, head_dim, states], "a state as it was left");
            floats(state.clone().permute(order))?
        }
        None => dt.clone(),
    };
    let out = empty(&x.tensor, shape);
    let left = empty(&dt, order.map(|axis: usize| [batch, heads, head_dim, states][axis]));
    let (columns, units) = (batch * heads * head_dim, class.units());
    let strides = |x: &Strided| StridesLaunch::new(x.strides[0], x.strides[1], x.strides[2]);
    // SAFETY: units beyond the last column do nothing.
    unsafe {
        selective_scan_kernel::launch_unchecked(
            &dt.client.clone(),
            super::count(columns.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            x.tensor.clone().into_buffer_arg(),
            dt.into_buffer_arg(),
            a.into_buffer_arg(),
            b.tensor.clone().into_buffer_arg(),
            c.tensor.clone().into_buffer_arg(),
            d.into_buffer_arg(),
            before.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            left.clone().into_buffer_arg(),
            strides(&x),
            strides(&b),
            strides(&c),
            columns,
            tokens,
            heads,
            head_dim,
            heads / groups,
            states,
            decays == 1,
            scan.d.is_some(),
            scan.state.is_some(),
            elem(&x.tensor),
        );
    }
    let left: Tensor<4> = tensor(left);
    Some((tensor(out), left.permute(back))) // [batch, tokens, heads, head_dim], [batch, heads, head_dim, states]
}

/// In float32, in one piece.
fn floats<const D: usize>(x: Tensor<D>) -> Option<CubeTensor> {
    Some(into_contiguous(primitive(&x.cast(DType::F32))?))
}

/// Strides of batch, token, and head or group.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Strides {
    batch: usize,
    token: usize,
    head: usize,
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn selective_scan_kernel<F: Float>(
    x: &[F],
    dt: &[f32],
    a: &[f32],
    b: &[F],
    c: &[F],
    d: &[f32],
    before: &[f32],
    out: &mut [F],
    left: &mut [f32],
    of_x: Strides,
    of_b: Strides,
    of_c: Strides,
    columns: usize,
    tokens: usize,
    heads: usize,
    head_dim: usize,
    heads_per_group: usize,
    #[comptime] states: usize,
    #[comptime] alike: bool,
    #[comptime] has_d: bool,
    #[comptime] has_state: bool,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < columns {
        let column = ABSOLUTE_POS % head_dim;
        let head = ABSOLUTE_POS / head_dim % heads;
        let batch = ABSOLUTE_POS / head_dim / heads;
        let group = head / heads_per_group;
        // Where the unit's states lie: [batch, heads, states, head_dim], or [batch, states, heads].
        let by_state = select(head_dim == 1, heads, head_dim);
        let place =
            select(head_dim == 1, batch * states * heads + head, (batch * heads + head) * states * head_dim + column);
        let mut kept = Array::<f32>::new(states);
        for n in 0..states {
            let mut state = 0.0f32;
            if has_state {
                state = before[place + n * by_state];
            }
            kept[n] = state;
        }
        let mut skip = 0.0f32;
        if has_d {
            skip = d[head];
        }
        for token in 0..tokens {
            let step = dt[(batch * tokens + token) * heads + head];
            let x = f32::cast_from(x[batch * of_x.batch + token * of_x.token + head * of_x.head + column]);
            let b_at = batch * of_b.batch + token * of_b.token + group * of_b.head;
            let c_at = batch * of_c.batch + token * of_c.token + group * of_c.head;
            let added = step * x;
            let mut decay = 1.0f32;
            if alike {
                decay = f32::exp(step * a[head]);
            }
            let mut sum = skip * x;
            for n in 0..states {
                if !alike {
                    decay = f32::exp(step * a[head * states + n]);
                }
                let state = decay * kept[n] + added * f32::cast_from(b[b_at + n]);
                kept[n] = state;
                sum += f32::cast_from(c[c_at + n]) * state;
            }
            out[((batch * tokens + token) * heads + head) * head_dim + column] = F::cast_from(sum);
        }
        for n in 0..states {
            left[place + n * by_state] = kept[n];
        }
    }
}
