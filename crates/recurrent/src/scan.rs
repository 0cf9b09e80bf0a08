//! A state that each token lets decay and adds to: the recurrence of selective state spaces.

use burn::tensor::{DType, Tensor};
use glass_backend::KernelSet;

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

/// Tokens that are read one after the other. Of a longer text so many runs are read side by side, and joined by their states.
const RUN: usize = 16;

/// h_t = exp(dt_t a) h_(t-1) + dt_t x_t ⊗ b_t, and y_t = h_t c_t + d x_t, in float32: arXiv:2312.00752, equations 2 and 3,
/// with the simplification that its authors compute (B by Euler's rule).
///
/// `h` `[batch, heads, head_dim, state_size]` is the state before the first token (`None`: zeros)
/// -> y `[batch, seq, heads, head_dim]` in the type of `x`, and the state behind the last token
pub fn selective_scan(scan: &Scan, h: Option<&Tensor<4>>, kernels: KernelSet) -> (Tensor<4>, Tensor<4>) {
    let Scan { x, dt, a, b, c, d } = scan;
    let fused = glass_backend::Scan { x, dt, a, b, c, d: d.as_ref(), state: h };
    kernels.selective_scan(&fused).unwrap_or_else(|| plain(scan, h))
}

/// The same in tensor operations.
fn plain(scan: &Scan, h: Option<&Tensor<4>>) -> (Tensor<4>, Tensor<4>) {
    let [batch, seq, heads, head_dim] = scan.x.dims();
    let [.., groups, state_size] = scan.b.dims();
    let dtype = scan.x.dtype();
    let of_heads = |group: &Tensor<4>| {
        let each = group.clone().cast(DType::F32).reshape([batch, seq * groups, 1, state_size]);
        each.repeat_dim(2, heads / groups).reshape([batch, seq, heads, state_size])
    };
    let tokens =
        Tokens { x: scan.x.clone().cast(DType::F32), dt: scan.dt.clone(), b: of_heads(&scan.b), c: of_heads(&scan.c) };
    let zeros = || Tensor::zeros([batch, heads, head_dim, state_size], (&scan.x.device(), DType::F32));
    let h = h.cloned().unwrap_or_else(zeros); // [batch, heads, head_dim, state_size]
    let together = if seq > 2 * RUN { seq / RUN * RUN } else { 0 };
    let (mut out, mut state) = (Vec::new(), h);
    for (start, len) in [(0, together), (together, seq - together)] {
        if len == 0 {
            continue;
        }
        let part = tokens.narrow(start, len);
        let (y, behind) =
            if len == together { side_by_side(part, &scan.a, state) } else { one_by_one(&part, &scan.a, state) };
        out.push(y);
        state = behind;
    }
    let mut y = Tensor::cat(out, 1); // [batch, seq, heads, head_dim]
    if let Some(d) = &scan.d {
        y = y + tokens.x * d.clone().reshape([1, 1, heads, 1]);
    }
    (y.cast(dtype), state)
}

/// What each token says, in float32.
struct Tokens {
    /// `[batch, seq, heads, head_dim]`
    x: Tensor<4>,
    /// `[batch, seq, heads]`
    dt: Tensor<3>,
    /// `[batch, seq, heads, state_size]`
    b: Tensor<4>,
    /// `[batch, seq, heads, state_size]`
    c: Tensor<4>,
}

impl Tokens {
    fn narrow(&self, start: usize, len: usize) -> Self {
        let of = |x: &Tensor<4>| x.clone().narrow(1, start, len);
        Self { x: of(&self.x), dt: self.dt.clone().narrow(1, start, len), b: of(&self.b), c: of(&self.c) }
    }

    /// Runs of tokens as if each were a text: `[batch * seq / RUN, RUN, ..]`
    fn runs(self) -> Self {
        let [batch, seq, heads] = self.dt.dims();
        let of = |x: Tensor<4>| {
            let width = x.dims()[3];
            x.reshape([batch * seq / RUN, RUN, heads, width])
        };
        Self { x: of(self.x), dt: self.dt.reshape([batch * seq / RUN, RUN, heads]), b: of(self.b), c: of(self.c) }
    }
}

/// As the formula has it. `h` is the state before the first token.
fn one_by_one(tokens: &Tokens, a: &Tensor<2>, mut h: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let dt = tokens.dt.clone().unsqueeze_dim::<4>(3); // [batch, seq, heads, 1]
    let decay = (dt.clone() * a.clone().unsqueeze::<4>()).exp(); // [batch, seq, heads, state_size or 1]
    let inflow = dt * tokens.x.clone(); // [batch, seq, heads, head_dim]
    let at = |x: &Tensor<4>, t: usize| x.clone().narrow(1, t, 1).squeeze_dim::<3>(1); // [batch, heads, _]
    let row = |x: &Tensor<4>, t: usize| at(x, t).unsqueeze_dim::<4>(2); // [batch, heads, 1, _]
    let column = |x: &Tensor<4>, t: usize| at(x, t).unsqueeze_dim::<4>(3); // [batch, heads, _, 1]
    let seq = tokens.dt.dims()[1];
    let mut out = Vec::with_capacity(seq);
    for t in 0..seq {
        h = h * row(&decay, t) + column(&inflow, t) * row(&tokens.b, t); // [batch, heads, head_dim, state_size]
        let y = (h.clone() * row(&tokens.c, t)).sum_dim(3); // [batch, heads, head_dim, 1]
        out.push(y.squeeze_dim::<3>(3).unsqueeze_dim::<4>(1)); // [batch, 1, heads, head_dim]
    }
    (Tensor::cat(out, 1), h) // [batch, seq, heads, head_dim]
}

/// Runs side by side, each from nothing; then each adds what the state before it has become of behind so many tokens. The
/// sums are those of [`one_by_one`] in another order, in fewer and larger operations.
fn side_by_side(tokens: Tokens, a: &Tensor<2>, h: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let [batch, seq, heads, head_dim] = tokens.x.dims();
    let state_size = h.dims()[3];
    let (count, device) = (seq / RUN, h.device());
    let runs = tokens.runs();
    let nothing = Tensor::zeros([batch * count, heads, head_dim, state_size], (&device, DType::F32));
    let (y, own) = one_by_one(&runs, a, nothing); // [batch * count, RUN, heads, head_dim], [batch * count, heads, head_dim, state_size]

    // The time from the start of a run, and so what is left of the state before it.
    let so_far = Tensor::<2>::ones([RUN, RUN], (&device, DType::F32)).tril(0).unsqueeze::<3>(); // [1, RUN, RUN]
    let time = so_far.expand([batch * count, RUN, RUN]).matmul(runs.dt); // [batch * count, RUN, heads]
    let left = (time.unsqueeze_dim::<4>(3) * a.clone().unsqueeze::<4>()).exp(); // [batch * count, RUN, heads, state_size or 1]

    let of_run = |x: &Tensor<5>, run: usize| x.clone().narrow(1, run, 1).squeeze_dim::<4>(1); // [batch, heads, _, _]
    let decays = left.dims()[3];
    let whole = left.clone().narrow(1, RUN - 1, 1).reshape([batch, count, heads, 1, decays]);
    let own = own.reshape([batch, count, heads, head_dim, state_size]);
    let (mut before, mut state) = (Vec::with_capacity(count), h);
    for run in 0..count {
        before.push(state.clone().unsqueeze_dim::<5>(1));
        state = state * of_run(&whole, run) + of_run(&own, run); // [batch, heads, head_dim, state_size]
    }
    let before = Tensor::cat(before, 1).reshape([batch * count, heads, head_dim, state_size]);
    let reads = (runs.c * left).swap_dims(1, 2); // [batch * count, heads, RUN, state_size]
    let carried = match head_dim {
        // A product of a matrix with a vector, for each channel: small for matmul.
        1 => (reads * before).sum_dim(3),          // [batch * count, heads, RUN, 1]
        _ => reads.matmul(before.swap_dims(2, 3)), // [batch * count, heads, RUN, head_dim]
    };
    let y = y + carried.swap_dims(1, 2); // [batch * count, RUN, heads, head_dim]
    (y.reshape([batch, seq, heads, head_dim]), state)
}
