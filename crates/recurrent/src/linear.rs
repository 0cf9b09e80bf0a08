//! A state that decays channel by channel.

use burn::tensor::{DType, Tensor};
use glass_backend::KernelSet;

/// h_t = decay_t h_(t-1) + inflow_t, channel by channel, in float32.
///
/// `inflow` and `decay` `[batch, seq, channels]`, `h` `[batch, channels]` is the state before the first token (`None`: zeros)
/// -> the state behind each token `[batch, seq, channels]`, and behind the last one `[batch, channels]`
pub fn linear_recurrence(
    inflow: &Tensor<3>,
    decay: &Tensor<3>,
    h: Option<&Tensor<2>>,
    kernels: KernelSet,
) -> (Tensor<3>, Tensor<2>) {
    kernels.linear_recurrence(decay, inflow, h).unwrap_or_else(|| plain(inflow, decay, h))
}

/// The same in tensor operations.
fn plain(inflow: &Tensor<3>, decay: &Tensor<3>, h: Option<&Tensor<2>>) -> (Tensor<3>, Tensor<2>) {
    let [batch, seq, channels] = inflow.dims();
    let at = |x: &Tensor<3>, t: usize| x.clone().narrow(1, t, 1).squeeze_dim::<2>(1); // [batch, channels]
    let zeros = || Tensor::zeros([batch, channels], (&inflow.device(), DType::F32));
    let mut h = h.cloned().unwrap_or_else(zeros);
    let mut states = Vec::with_capacity(seq);
    for t in 0..seq {
        h = h * at(decay, t) + at(inflow, t); // [batch, channels]
        states.push(h.clone().unsqueeze_dim::<3>(1)); // [batch, 1, channels]
    }
    (Tensor::cat(states, 1), h)
}
