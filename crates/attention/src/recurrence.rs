//! What a recurrent layer does with the tokens of a text, for an observer.

use burn::tensor::Tensor;

/// Numbers of each token, and what the papers call them: `[batch, seq, _]`.
pub type OfTokens = Vec<(&'static str, Tensor<3>)>;

/// What the tokens say to the state of a recurrent layer: those of one sequence, or of all if a pass reads whole sequences.
///
/// | mixer | `gates` | `inputs` |
/// |---|---|---|
/// | Mamba, Mamba-2 | `decay` exp(Δ A), `dt` Δ, `gate` what multiplies the output | `x`, `b`, `c` |
/// | RG-LRU | `decay` a, `recurrent_gate` r, `input_gate` i, `gate` the other branch | `x` |
/// | retention | `decay` γ, `gate` the swish of `g_proj` | `q`, `k`, `v` |
///
/// The state begins with nothing. That of a head becomes `decay * state + dt * x ⊗ b`, and is read by `c`; that of a channel of
/// RG-LRU `decay * state + sqrt(1 - decay^2) * input_gate * x` (at the first token of a text `input_gate * x`); that of
/// retention `decay * state + v ⊗ k`, and is read by `q`.
#[derive(Clone, Debug)]
pub struct Recurrence {
    /// A of Mamba and Mamba-2, below 0: `[heads, state_size]`, or `[heads, 1]` if all numbers of a head decay alike.
    pub a: Option<Tensor<2>>,
    /// How much: `[batch, seq, heads]`, but `gate` `[batch, seq, heads * head_dim]`. A channel of Mamba or RG-LRU is a head of
    /// one. In Mamba its numbers decay each by itself: `decay` is their mean, and `dt` and `a` say each.
    pub gates: OfTokens,
    /// What is written and read: `x` and `v` `[batch, seq, heads * head_dim]`, `b` and `c` `[batch, seq, groups * state_size]`,
    /// `q` and `k` `[batch, seq, heads * key_dim]`.
    pub inputs: OfTokens,
}

impl Recurrence {
    /// Of `len` tokens of the row.
    pub(crate) fn narrow(&self, start: usize, len: usize) -> Self {
        let part = |all: &OfTokens| {
            all.iter().map(|(name, x)| (*name, x.clone().narrow(1, start, len))).collect() // [batch, len, _]
        };
        Self { a: self.a.clone(), gates: part(&self.gates), inputs: part(&self.inputs) }
    }
}
