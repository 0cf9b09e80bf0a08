//! Mixers with a state of fixed size in place of keys and values.

use crate::layer::{linear, sum};
use crate::norm::NormConfig;
use crate::values::Activation;

/// A selective state space: Gu and Dao 2023, arXiv:2312.00752.
///
/// Names: `in_proj`, `conv1d`, `x_proj`, `dt_proj`, `A_log`, `D`, `out_proj`; `dt_layernorm`, `b_layernorm` and
/// `c_layernorm` where the family has them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MambaConfig {
    /// Channels.
    pub intermediate_size: usize,
    /// Numbers in the state of a channel.
    pub state_size: usize,
    /// Inputs that the convolution sees, the newest included: at least 2.
    pub conv_kernel: usize,
    /// Width of the time steps before `dt_proj` makes one for each channel.
    pub time_step_rank: usize,
    /// Whether `in_proj` and `out_proj` add a bias.
    pub use_bias: bool,
    pub use_conv_bias: bool,
    /// Behind the convolution, and on the gate.
    pub hidden_act: Activation,
    /// Of time step, B and C, each with its own weight (Jamba).
    pub inner_norm: Option<NormConfig>,
    pub time_step: TimeStepConfig,
}

/// Retention: Sun et al. 2023, arXiv:2307.08621. Keys and queries are rotated by the model's first RoPE.
///
/// Names: `q_proj`, `k_proj`, `v_proj`, `g_proj`, `out_proj`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetentionConfig {
    /// Head h forgets by 1 - 2^(-5-h) from token to token.
    pub num_heads: usize,
    /// Width of a head's queries and keys, even.
    pub key_dim: usize,
    /// Width of a head's values.
    pub head_dim: usize,
    /// Of the norm of each head's output, which has no weight.
    pub norm_eps: f64,
}

/// The time steps of a model that is not trained yet: log-uniform from `min` to `max`, at least `floor`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeStepConfig {
    pub min: f64,
    pub max: f64,
    pub floor: f64,
}

/// What a recurrent mixer keeps of a sequence, however long, in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateShape {
    /// The last inputs of a convolution: `[channels, conv_kernel - 1]`. `None`: the mixer has none.
    pub conv: Option<[usize; 2]>,
    /// `[heads, rows, columns]`
    pub matrix: [usize; 3],
}

impl StateShape {
    /// Numbers in it.
    pub fn len(&self) -> usize {
        self.conv.map_or(0, |[channels, inputs]| channels * inputs) + self.matrix.iter().product::<usize>()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TimeStepConfig {
    /// The paper's.
    pub const MAMBA: Self = Self { min: 0.001, max: 0.1, floor: 1e-4 };
}

impl RetentionConfig {
    /// Width of all queries, and of all keys.
    pub fn key_size(&self) -> usize {
        self.num_heads.saturating_mul(self.key_dim)
    }

    /// Width of all values.
    pub fn value_size(&self) -> usize {
        self.num_heads.saturating_mul(self.head_dim)
    }

    pub(crate) fn num_parameters(&self, hidden_size: usize) -> usize {
        let keys = linear(self.key_size(), hidden_size, false).saturating_mul(2);
        let values = linear(self.value_size(), hidden_size, false).saturating_mul(3); // v, g and out
        keys.saturating_add(values)
    }

    pub(crate) fn state(&self) -> StateShape {
        StateShape { conv: None, matrix: [self.num_heads, self.head_dim, self.key_dim] }
    }
}

impl MambaConfig {
    pub(crate) fn num_parameters(&self, hidden_size: usize) -> usize {
        let Self { intermediate_size: inner, state_size: state, time_step_rank: rank, .. } = *self;
        let norms = [rank, state, state].map(|size| self.inner_norm.map_or(0, |norm| norm.num_parameters(size)));
        sum([
            linear(inner.saturating_mul(2), hidden_size, self.use_bias),
            linear(inner, self.conv_kernel, self.use_conv_bias),
            linear(rank.saturating_add(state.saturating_mul(2)), inner, false),
            linear(inner, rank, true),
            inner.saturating_mul(state), // A
            inner,                       // D
            linear(hidden_size, inner, self.use_bias),
            sum(norms),
        ])
    }

    pub(crate) fn state(&self) -> StateShape {
        let conv = [self.intermediate_size, self.conv_kernel - 1];
        StateShape { conv: Some(conv), matrix: [self.intermediate_size, 1, self.state_size] }
    }
}
