//! A state that each token lets decay and adds to: the recurrence of selective state spaces.

use burn::tensor::{DType, Tensor};

/// What a scan reads. Mamba has a head for each channel (`head_dim` 1) and a decay for each number of its state; Mamba-2 has
/// one decay for each head.
pub struct Scan {
    /// `[batch, seq, heads, head_dim]`
    pub x: Tensor<4>,
    /// The step that a token makes in time, above 0: `[batch, seq, heads]`, float32.
    pub dt: Tensor<3>,
    /// Below 0: `[heads, state_size]`, or `[heads, 1]`, float32.
    pub a: Tensor<2>,
    /// Into the state: `[batch, seq, groups, state_size]`; head h reads group h / (heads / groups).
    pub b: Tensor<4>,
    /// Out of the state: `[batch, seq, groups, state_size]`
    pub c: Tensor<4>,
    /// Past the state: `[heads]`, float32.
    pub d: Option<Tensor<1>>,
}

/// h_t = exp(dt_t a) h_(t-1) + dt_t x_t ⊗ b_t, and y_t = h_t c_t + d x_t, in float32: arXiv:2312.00752, equations 2 and 3,
/// with the simplification that its authors compute (B by Euler's rule).
///
/// `h` `[batch, heads, head_dim, state_size]` is the state before the first token (`None`: zeros)
/// -> y `[batch, seq, heads, head_dim]` in the type of `x`, and the state behind the last token
pub fn selective_scan(scan: &Scan, h: Option<&Tensor<4>>) -> (Tensor<4>, Tensor<4>) {
    let [batch, seq, heads, head_dim] = scan.x.dims();
    let [.., groups, state_size] = scan.b.dims();
    let dtype = scan.x.dtype();
    let x = scan.x.clone().cast(DType::F32);
    let of_heads = |group: &Tensor<4>| {
        let each = group.clone().cast(DType::F32).reshape([batch, seq * groups, 1, state_size]);
        each.repeat_dim(2, heads / groups).reshape([batch, seq, heads, state_size])
    };
    let (b, c) = (of_heads(&scan.b), of_heads(&scan.c)); // [batch, seq, heads, state_size]
    let dt = scan.dt.clone().unsqueeze_dim::<4>(3); // [batch, seq, heads, 1]
    let a = scan.a.clone().unsqueeze::<4>(); // [1, 1, heads, state_size or 1]
    let decay = (dt.clone() * a).exp(); // [batch, seq, heads, state_size or 1]
    let inflow = dt * x.clone(); // [batch, seq, heads, head_dim]

    let at = |x: &Tensor<4>, t: usize| x.clone().narrow(1, t, 1).squeeze_dim::<3>(1); // [batch, heads, _]
    let row = |x: &Tensor<4>, t: usize| at(x, t).unsqueeze_dim::<4>(2); // [batch, heads, 1, _]
    let column = |x: &Tensor<4>, t: usize| at(x, t).unsqueeze_dim::<4>(3); // [batch, heads, _, 1]
    let zeros = || Tensor::zeros([batch, heads, head_dim, state_size], (&x.device(), DType::F32));
    let mut h = h.cloned().unwrap_or_else(zeros);
    let mut out = Vec::with_capacity(seq);
    for t in 0..seq {
        h = h * row(&decay, t) + column(&inflow, t) * row(&b, t); // [batch, heads, head_dim, state_size]
        let y = (h.clone() * row(&c, t)).sum_dim(3); // [batch, heads, head_dim, 1]
        out.push(y.squeeze_dim::<3>(3).unsqueeze_dim::<4>(1)); // [batch, 1, heads, head_dim]
    }
    let mut y = Tensor::cat(out, 1); // [batch, seq, heads, head_dim]
    if let Some(d) = &scan.d {
        y = y + x * d.clone().reshape([1, 1, heads, 1]);
    }
    (y.cast(dtype), h)
}
