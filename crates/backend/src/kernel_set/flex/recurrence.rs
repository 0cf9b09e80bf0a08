//! Recurrences and convolutions on flex: columns side by side, as their kernels read them.

use burn::tensor::{DType, Tensor};
use glass_kernels::{self as cpu, CausalConv, Isa, SelectiveScan};

use super::{Floats, floats};
use crate::Scan;

pub fn causal_conv(
    x: &Tensor<3>,
    tail: Option<&Tensor<3>>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    silu: bool,
) -> Option<(Tensor<3>, Tensor<3>)> {
    let ([batch, tokens, channels], [_, taps]) = (x.dims(), weight.dims());
    let x = x.clone().unsqueeze_dim(1); // [batch, 1, tokens, channels]
    let x = Floats::where_it_lies(&x)?;
    let by_tap = |tail: &Tensor<3>| Floats::own(tail.clone().swap_dims(1, 2)); // [batch, taps - 1, channels]
    let tail = some(tail, by_tap)?;
    let weight = Floats::of(weight)?;
    let bias = some(bias, Floats::of)?;
    let conv = CausalConv {
        x: x.view(),
        tail: tail.as_ref().map(Floats::values),
        weight: weight.values(),
        bias: bias.as_ref().map(Floats::values),
        silu,
    };
    let mut y = vec![0.0; batch * tokens * channels];
    let mut left = vec![0.0; batch * (taps - 1) * channels];
    cpu::causal_conv(Isa::best(), &conv, &mut y, &mut left);
    let left: Tensor<3> = x.shaped(left, [batch, taps - 1, channels]);
    Some((x.shaped(y, [batch, tokens, channels]), left.swap_dims(1, 2))) // [.., tokens, channels], [.., channels, taps - 1]
}

pub fn selective_scan(scan: &Scan<'_>) -> Option<(Tensor<4>, Tensor<4>)> {
    let ([batch, _, heads, head_dim], [_, _, _, states]) = (scan.x.dims(), scan.b.dims());
    // Channels lie side by side, and so do the columns of other heads.
    let order = if head_dim == 1 { [0, 3, 1, 2] } else { [0, 1, 3, 2] };
    let back = if head_dim == 1 { [0, 2, 3, 1] } else { [0, 1, 3, 2] };
    let x = match Floats::where_it_lies(scan.x)? {
        x if head_dim == 1 && heads > 1 && x.view().stride() != 1 => Floats::of(scan.x)?,
        x => x,
    };
    let (dt, a) = (Floats::of(scan.dt)?, Floats::of(scan.a)?);
    let (b, c) = (Floats::where_it_lies(scan.b)?, Floats::where_it_lies(scan.c)?);
    let d = some(scan.d, Floats::of)?;
    let before = some(scan.state, |state| Floats::own(state.clone().permute(order)))?;
    let kernel = SelectiveScan {
        x: x.view(),
        dt: dt.values(),
        a: a.values(),
        b: b.view(),
        c: c.view(),
        d: d.as_ref().map(Floats::values),
        state: before.as_ref().map(Floats::values),
    };
    let mut y = vec![0.0; x.view().shape().iter().product()];
    let mut state = vec![0.0; batch * heads * states * head_dim];
    cpu::selective_scan(Isa::best(), &kernel, &mut y, &mut state);
    let shape = order.map(|axis: usize| [batch, heads, head_dim, states][axis]);
    let state: Tensor<4> = floats(state, shape, DType::F32);
    Some((x.like(y), state.permute(back))) // [batch, tokens, heads, head_dim], [batch, heads, head_dim, states]
}

pub fn linear_recurrence(a: &Tensor<3>, u: &Tensor<3>, state: Option<&Tensor<2>>) -> Option<(Tensor<3>, Tensor<2>)> {
    let shape @ [batch, _, width] = u.dims();
    assert_eq!(a.dims(), shape, "a decay for each number");
    let (a, u, state) = (Floats::of(a)?, Floats::of(u)?, some(state, Floats::of)?);
    let mut h = vec![0.0; u.values().len()];
    let mut last = vec![0.0; batch * width];
    let state = state.as_ref().map(Floats::values);
    cpu::linear_recurrence(Isa::best(), shape, a.values(), u.values(), state, &mut h, &mut last);
    Some((floats(h, shape, DType::F32), floats(last, [batch, width], DType::F32)))
}

pub fn softplus<const D: usize>(x: &Tensor<D>, bias: &Tensor<1>) -> Option<Tensor<D>> {
    let (x, bias) = (Floats::of(x)?, Floats::of(bias)?);
    let mut out = x.values().to_vec();
    cpu::softplus(Isa::best(), &mut out, bias.values());
    Some(floats(out, x.shape(), DType::F32))
}

/// What is made of an option; `None` if it is something that cannot be made.
fn some<'a, T, U>(option: Option<&'a T>, make: impl FnOnce(&'a T) -> Option<U>) -> Option<Option<U>> {
    match option {
        Some(value) => make(value).map(Some),
        None => Some(None),
    }
}
