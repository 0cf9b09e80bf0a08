//! What a selective scan computes with.

use burn::tensor::Tensor;

/// The inputs of a linear recurrence whose state is a matrix for each head (Mamba, arXiv:2312.00752; Mamba-2,
/// arXiv:2405.21060; retention, arXiv:2307.08621):
///
/// ```text
/// S[p, n] = exp(dt a[n]) S[p, n] + dt x[p] b[n]        y[p] = sum over n of c[n] S[p, n] + d x[p]
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// `[batch, tokens, heads, head_dim]`: a channel of Mamba is a head with a `head_dim` of 1.
    pub x: &'a Tensor<4>,
    /// The step, not negative: `[batch, tokens, heads]` in float32.
    pub dt: &'a Tensor<3>,
    /// The decay, not positive: `[heads, states]`, or `[heads, 1]` if all states of a head decay alike.
    pub a: &'a Tensor<2>,
    /// `[batch, tokens, groups, states]`: head `h` reads group `h / (heads / groups)`.
    pub b: &'a Tensor<4>,
    /// `[batch, tokens, groups, states]`
    pub c: &'a Tensor<4>,
    /// What of `x` goes past the state: `[heads]`.
    pub d: Option<&'a Tensor<1>>,
    /// What the tokens before have left: `[batch, heads, head_dim, states]` in float32. Without one it is zeros.
    pub state: Option<&'a Tensor<4>>,
}
