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
    /// Behind the convolution; the gate is SiLU's.
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

/// Mamba whose numbers of a head share one decay, in heads that share what writes and reads in groups: Dao and Gu 2024,
/// arXiv:2405.21060.
///
/// Names: `in_proj` (gate, x, B, C and time step, one behind the other), `conv1d`, `A_log`, `D`, `dt_bias`, `norm`, `out_proj`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mamba2Config {
    pub num_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Pairs of B and C; each serves equally many heads.
    pub n_groups: usize,
    /// Numbers in the state of a channel.
    pub state_size: usize,
    /// Inputs that the convolution sees, the newest included.
    pub conv_kernel: usize,
    /// Whether `in_proj` and `out_proj` add a bias.
    pub use_bias: bool,
    pub use_conv_bias: bool,
    /// Behind the convolution.
    pub hidden_act: Activation,
    /// Of y · silu(gate), over the channels of each group.
    pub norm: NormConfig,
    /// A time step is kept between these two.
    pub time_step_limit: [f64; 2],
    pub time_step: TimeStepConfig,
}

/// A gated linear recurrence beside a branch that gates it, the recurrent block of Griffin: De et al. 2024, arXiv:2402.19427.
///
/// Names: `linear_x`, `linear_y`, `conv1d`, `rg_lru.{input_gate, recurrent_gate}.{weight, bias}`, `rg_lru.recurrent_param`,
/// `linear_out`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RgLruConfig {
    /// Channels.
    pub width: usize,
    /// Blocks of channels; a gate of a channel reads the channels of its block.
    pub num_blocks: usize,
    /// Inputs that the convolution sees, the newest included.
    pub conv_kernel: usize,
    /// On the branch that gates.
    pub hidden_act: Activation,
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
    /// Numbers in it; `usize::MAX` where there would be more.
    pub fn len(&self) -> usize {
        let conv = self.conv.map_or(0, |[channels, inputs]| channels.saturating_mul(inputs));
        self.matrix.iter().fold(1, |numbers: usize, &size| numbers.saturating_mul(size)).saturating_add(conv)
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        (self.len() as u64).saturating_mul(size_of::<f32>() as u64)
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

impl Mamba2Config {
    /// Channels: num_heads · head_dim.
    pub fn inner(&self) -> usize {
        self.num_heads.saturating_mul(self.head_dim)
    }

    /// Channels that the convolution goes over: of x, B and C.
    pub fn conv_channels(&self) -> usize {
        self.inner().saturating_add(self.n_groups.saturating_mul(self.state_size).saturating_mul(2))
    }

    /// Rows of `in_proj`.
    pub fn projected(&self) -> usize {
        sum([self.inner(), self.conv_channels(), self.num_heads])
    }

    pub(crate) fn num_parameters(&self, hidden_size: usize) -> usize {
        sum([
            linear(self.projected(), hidden_size, self.use_bias),
            linear(self.conv_channels(), self.conv_kernel, self.use_conv_bias),
            self.num_heads.saturating_mul(3), // A, D and the bias of the time step
            self.norm.num_parameters(self.inner()),
            linear(hidden_size, self.inner(), self.use_bias),
        ])
    }

    pub(crate) fn state(&self) -> StateShape {
        let conv = [self.conv_channels(), self.conv_kernel - 1];
        StateShape { conv: Some(conv), matrix: [self.num_heads, self.head_dim, self.state_size] }
    }
}

impl RgLruConfig {
    /// Channels of a block.
    pub fn block_width(&self) -> usize {
        self.width / self.num_blocks
    }

    pub(crate) fn num_parameters(&self, hidden_size: usize) -> usize {
        let Self { width, .. } = *self;
        sum([
            linear(width, hidden_size, true).saturating_mul(2),
            linear(width, self.conv_kernel, true),
            linear(width, self.block_width(), true).saturating_mul(2),
            width, // the parameter of the recurrence
            linear(hidden_size, width, true),
        ])
    }

    pub(crate) fn state(&self) -> StateShape {
        StateShape { conv: Some([self.width, self.conv_kernel - 1]), matrix: [self.width, 1, 1] }
    }
}
