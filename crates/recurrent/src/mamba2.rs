//! Mamba-2: Dao and Gu 2024, arXiv:2405.21060.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor, activation::silu},
};
use glass_attention::{ForwardContext, Recurrence, Step};
use glass_backend::{GateKernel, KernelSet, Linear, Norm, RecurrentWeight, WeightError, WeightRole, Weights};
use glass_config::Mamba2Config;
use glass_kv_cache::LayerState;

use crate::mamba::split;
use crate::{CausalConv, Scan, selective_scan, softplus};

/// A selective state space in heads, each with one decay; the token's own projection says all that the scan reads.
#[derive(Module, Debug)]
pub struct Mamba2Mixer {
    in_proj: Linear,
    conv1d: CausalConv,
    /// `[num_heads]`
    dt_bias: Param<Tensor<1>>,
    /// `[num_heads]`
    a_log: Param<Tensor<1>>,
    /// `[num_heads]`
    d: Param<Tensor<1>>,
    norm: Norm,
    out_proj: Linear,
    #[module(skip)]
    config: Mamba2Config,
    #[module(skip)]
    kernels: KernelSet,
    layer: usize,
}

impl Mamba2Mixer {
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `states` are this layer's, one for each sequence of the pass; `ctx` is what the layers of a pass share.
    pub fn forward(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let Mamba2Config { num_heads: heads, head_dim, n_groups: groups, state_size, hidden_act, .. } = self.config;
        let (inner, of_groups) = (self.config.inner(), groups * state_size);
        let projected = self.in_proj.forward(x); // [batch, seq, inner + (inner + 2 * groups * state_size) + heads]
        let [gate, xbc, dt] = split(projected, [inner, inner + 2 * of_groups, heads]);
        ctx.done(Step::Input);
        let xbc = self.conv1d.activated(ctx.without_padding(xbc), hidden_act, states, ctx); // [batch, seq, inner + 2 * of_groups]
        let xbc = ctx.without_padding(xbc);
        ctx.done(Step::Conv);

        let [x, b, c] = split(xbc, [inner, of_groups, of_groups]);
        let [min, max] = self.config.time_step_limit;
        let bias = self.dt_bias.val();
        let dt = self.kernels.softplus(&dt, &bias).unwrap_or_else(|| softplus(dt.cast(DType::F32) + bias.unsqueeze())); // [batch, seq, heads], float32
        let dt = if min > 0.0 { dt.clamp_min(min) } else { dt };
        let dt = if max.is_finite() { dt.clamp_max(max) } else { dt };
        let a = -self.a_log.val().exp().unsqueeze_dim::<2>(1); // [heads, 1]
        let seen = ctx.wants_recurrence().then(|| Recurrence {
            a: Some(a.clone()),
            gates: vec![
                ("decay", (dt.clone() * a.clone().swap_dims(0, 1).unsqueeze()).exp()), // [batch, seq, heads]
                ("dt", dt.clone()),
                ("gate", silu(gate.clone().cast(DType::F32))), // [batch, seq, inner]
            ],
            inputs: vec![("x", x.clone()), ("b", b.clone()), ("c", c.clone())],
        });
        let y = ctx.recur(
            states,
            |state| &mut state.matrix,
            [x, dt, b, c],
            |[x, dt, b, c], state| {
                let [batch, seq, _] = x.dims();
                let scan = Scan {
                    x: x.reshape([batch, seq, heads, head_dim]),
                    dt,
                    a: a.clone(),
                    b: b.reshape([batch, seq, groups, state_size]),
                    c: c.reshape([batch, seq, groups, state_size]),
                    d: Some(self.d.val()),
                };
                let (y, state) = selective_scan(&scan, state, self.kernels);
                (y.reshape([batch, seq, inner]), state) // [batch, seq, inner], [batch, heads, head_dim, state_size]
            },
        );
        ctx.recurrence(self.layer, states, seen);
        ctx.done(Step::Scan);

        let out = self.out_proj.forward(self.gated_norm(y, gate)); // [batch, seq, hidden_size]
        ctx.done(Step::Output);
        out
    }

    /// The norm of y · silu(gate), over the channels of each group; the product in float32.
    ///
    /// `y` and `gate` `[batch, seq, inner]` -> the same shape
    fn gated_norm(&self, y: Tensor<3>, gate: Tensor<3>) -> Tensor<3> {
        let [batch, seq, inner] = y.dims();
        let groups = self.config.n_groups;
        let dtype = y.dtype();
        let (y, gate) = (y.cast(DType::F32), gate.cast(DType::F32));
        let gated = self.kernels.gate(GateKernel::Silu, &gate, &y).unwrap_or_else(|| y * silu(gate)); // [batch, seq, inner]
        let normed = self.norm.forward_groups(gated.reshape([batch, seq, groups, inner / groups]));
        normed.reshape([batch, seq, inner]).cast(dtype)
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        mut weights: Weights<'_>,
        config: &Mamba2Config,
        hidden_size: usize,
        layer: usize,
    ) -> Result<Self, WeightError> {
        let (heads, inner, channels) = (config.num_heads, config.inner(), config.conv_channels());
        let mut in_f32 = weights.in_f32();
        let mut vector = |name, role| in_f32.vector(name, heads, WeightRole::Recurrent(role));
        let dt_bias = vector("dt_bias", RecurrentWeight::TimeStepBias)?;
        let a_log = vector("a_log", RecurrentWeight::Decay)?;
        let d = vector("d", RecurrentWeight::Skip)?;
        let mut linear = |name, shape, role| Linear::load(weights.at(name), shape, config.use_bias, role);
        let in_proj = linear("in_proj", [config.projected(), hidden_size], WeightRole::Projection)?;
        let out_proj = linear("out_proj", [hidden_size, inner], WeightRole::ResidualProjection)?;
        Ok(Self {
            in_proj,
            conv1d: CausalConv::load(weights.at("conv1d"), channels, config.conv_kernel, config.use_conv_bias)?,
            dt_bias,
            a_log,
            d,
            norm: Norm::load(weights.at("norm"), inner, &config.norm)?,
            out_proj,
            config: *config,
            kernels: weights.device().kernel_set(),
            layer,
        })
    }
}
