//! Mamba: Gu and Dao 2023, arXiv:2312.00752.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, activation::silu},
};
use glass_attention::{ForwardContext, Step};
use glass_backend::{GateKernel, Input, KernelSet, Linear, Norm, RecurrentWeight, WeightError, WeightRole, Weights};
use glass_config::MambaConfig;
use glass_kv_cache::LayerState;

use crate::{CausalConv, Scan, TimeStep, selective_scan};

/// A selective state space: how far a token moves the state, and where it is written to and read from, the token itself
/// says.
#[derive(Module, Debug)]
pub struct MambaMixer {
    in_proj: Linear,
    conv1d: CausalConv,
    x_proj: Linear,
    dt_proj: TimeStep,
    /// Norms of time step, B and C, where the family has them.
    dt_layernorm: Option<Norm>,
    b_layernorm: Option<Norm>,
    c_layernorm: Option<Norm>,
    /// `[intermediate_size, state_size]`
    a_log: Param<Tensor<2>>,
    /// `[intermediate_size]`
    d: Param<Tensor<1>>,
    out_proj: Linear,
    /// `-exp(a_log)`, `[intermediate_size, state_size]`, where it is not trained.
    #[module(skip)]
    a: Option<Tensor<2>>,
    #[module(skip)]
    config: MambaConfig,
    #[module(skip)]
    kernels: KernelSet,
}

impl MambaMixer {
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `states` are this layer's, one for each sequence of the pass; `ctx` is what the layers of a pass share.
    pub fn forward(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let MambaConfig { intermediate_size: inner, state_size, time_step_rank: rank, hidden_act, .. } = self.config;
        let [x, gate] = split(self.in_proj.forward(x), [inner, inner]); // [batch, seq, inner]
        let x = ctx.without_padding(x);
        ctx.done(Step::Input);
        let x = self.conv1d.activated(x, hidden_act, states, ctx); // [batch, seq, inner]
        let x = ctx.without_padding(x);
        ctx.done(Step::Conv);

        let [dt, b, c] = split(self.x_proj.forward(x.clone()), [rank, state_size, state_size]);
        let normed = |norm: &Option<Norm>, x| Input::through(norm.as_ref(), x).tensor();
        let (b, c) = (normed(&self.b_layernorm, b), normed(&self.c_layernorm, c)); // [batch, seq, state_size]
        let dt = self.dt_proj.forward(normed(&self.dt_layernorm, dt)); // [batch, seq, inner], float32
        let a = self.a.clone().unwrap_or_else(|| negative_exp(&self.a_log)); // [inner, state_size]
        let y = ctx.recur(
            states,
            |state| &mut state.matrix,
            [x, dt, b, c],
            |[x, dt, b, c], state| {
                let scan = Scan {
                    x: x.unsqueeze_dim(3), // [batch, seq, inner, 1]: each channel is a head
                    dt,
                    a: a.clone(),
                    b: b.unsqueeze_dim(2), // [batch, seq, 1, state_size]
                    c: c.unsqueeze_dim(2), // [batch, seq, 1, state_size]
                    d: Some(self.d.val()),
                };
                let (y, state) = selective_scan(&scan, state, self.kernels);
                (y.squeeze_dim(3), state) // [batch, seq, inner], [batch, inner, 1, state_size]
            },
        );
        ctx.done(Step::Scan);

        // SiLU whatever `hidden_act` says, which is about the convolution: as transformers 5.23 computes it.
        let gated = self.kernels.gate(GateKernel::Silu, &gate, &y); // [batch, seq, inner]
        let gated = gated.unwrap_or_else(|| y * silu(gate));
        let out = self.out_proj.forward(gated); // [batch, seq, hidden_size]
        ctx.done(Step::Output);
        out
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &MambaConfig, hidden_size: usize) -> Result<Self, WeightError> {
        let MambaConfig { intermediate_size: inner, state_size, time_step_rank: rank, use_bias, .. } = *config;
        let (decay, skip) = (RecurrentWeight::Decay, RecurrentWeight::Skip);
        let mut in_f32 = weights.in_f32();
        let a_log = in_f32.tensor("a_log", [inner, state_size], WeightRole::Recurrent(decay))?;
        let d = in_f32.vector("d", inner, WeightRole::Recurrent(skip))?;
        let mut norm = |name, size| config.inner_norm.map(|norm| Norm::load(weights.at(name), size, &norm)).transpose();
        let (reads, writes) = (WeightRole::Projection, WeightRole::ResidualProjection);
        Ok(Self {
            dt_layernorm: norm("dt_layernorm", rank)?,
            b_layernorm: norm("b_layernorm", state_size)?,
            c_layernorm: norm("c_layernorm", state_size)?,
            in_proj: Linear::load(weights.at("in_proj"), [2 * inner, hidden_size], use_bias, reads)?,
            conv1d: CausalConv::load(weights.at("conv1d"), inner, config.conv_kernel, config.use_conv_bias)?,
            x_proj: Linear::load(weights.at("x_proj"), [rank + 2 * state_size, inner], false, reads)?,
            dt_proj: TimeStep::load(weights.at("dt_proj"), [inner, rank])?,
            out_proj: Linear::load(weights.at("out_proj"), [hidden_size, inner], use_bias, writes)?,
            // Where there are kernels nothing is trained.
            a: (weights.device().kernel_set() != KernelSet::NONE).then(|| negative_exp(&a_log)),
            a_log,
            d,
            config: *config,
            kernels: weights.device().kernel_set(),
        })
    }
}

/// `-exp(a_log)`
fn negative_exp(a_log: &Param<Tensor<2>>) -> Tensor<2> {
    -a_log.val().exp() // [inner, state_size]
}

/// Parts of these widths of `x` `[batch, seq, _]`.
pub(crate) fn split<const N: usize>(x: Tensor<3>, widths: [usize; N]) -> [Tensor<3>; N] {
    let mut start = 0;
    widths.map(|width| {
        start += width;
        x.clone().narrow(2, start - width, width) // [batch, seq, width]
    })
}
