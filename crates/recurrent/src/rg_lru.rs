//! The recurrent block of Griffin: De et al. 2024, arXiv:2402.19427.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor, activation::sigmoid},
};
use glass_attention::{ForwardContext, Recurrence, Step};
use glass_backend::{KernelSet, Linear, RecurrentWeight, WeightError, WeightRole, Weights, activate};
use glass_config::RgLruConfig;
use glass_kv_cache::LayerState;

use crate::{CausalConv, linear_recurrence, softplus};

/// A convolution and a real-gated linear recurrent unit (RG-LRU), times a branch with an activation.
#[derive(Module, Debug)]
pub struct RgLruMixer {
    linear_x: Linear,
    linear_y: Linear,
    conv1d: CausalConv,
    rg_lru: RgLru,
    linear_out: Linear,
    #[module(skip)]
    config: RgLruConfig,
    layer: usize,
}

impl RgLruMixer {
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `states` are this layer's, one for each sequence of the pass; `ctx` is what the layers of a pass share.
    pub fn forward(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let [x, y] = Linear::forward_all([&self.linear_x, &self.linear_y], x); // [batch, seq, width] each
        ctx.done(Step::Input);
        let x = self.conv1d.forward(ctx.without_padding(x), states, ctx); // [batch, seq, width]
        ctx.done(Step::Conv);
        let (x, mut seen) = self.rg_lru.forward(ctx.without_padding(x), states, ctx); // [batch, seq, width]
        let gate = activate(self.config.hidden_act, None, y); // [batch, seq, width]
        if let Some(seen) = &mut seen {
            seen.gates.push(("gate", gate.clone()));
        }
        ctx.recurrence(self.layer, states, seen);
        ctx.done(Step::Scan);
        let out = self.linear_out.forward(x * gate); // [batch, seq, hidden_size]
        ctx.done(Step::Output);
        out
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        mut weights: Weights<'_>,
        config: &RgLruConfig,
        hidden_size: usize,
        layer: usize,
    ) -> Result<Self, WeightError> {
        let RgLruConfig { width, conv_kernel, .. } = *config;
        let mut linear = |name, shape, role| Linear::load(weights.at(name), shape, true, role);
        Ok(Self {
            linear_x: linear("linear_x", [width, hidden_size], WeightRole::Projection)?,
            linear_y: linear("linear_y", [width, hidden_size], WeightRole::Projection)?,
            linear_out: linear("linear_out", [hidden_size, width], WeightRole::ResidualProjection)?,
            conv1d: CausalConv::load(weights.at("conv1d"), width, conv_kernel, true)?,
            rg_lru: RgLru::load(weights.at("rg_lru"), config)?,
            config: *config,
            layer,
        })
    }
}

/// h_t = a_t h_(t-1) + sqrt(1 - a_t^2) i_t x_t with a_t = exp(-c r_t softplus(Λ)), c = 8; the gates i and r are sigmoids of
/// what a block of channels projects (arXiv:2402.19427, section 2.4). The first token of a text enters whole.
#[derive(Module, Debug)]
pub struct RgLru {
    input_gate: BlockGate,
    recurrent_gate: BlockGate,
    /// Λ: `[width]`
    recurrent_param: Param<Tensor<1>>,
    #[module(skip)]
    kernels: KernelSet,
}

/// c of the paper.
const GATE_STRENGTH: f64 = 8.0;

/// The least number under the root, whose slope has no bound at 0: far below what float32 tells from 1.
const LEAST: f64 = 1e-12;

impl RgLru {
    /// `x` `[batch, seq, width]` -> the same shape, and what an observer wants to see; gates and state in float32
    ///
    /// Each sequence is computed by itself: a product's sums do not depend on who else is there.
    fn forward(
        &self,
        x: Tensor<3>,
        states: &mut [&mut LayerState],
        ctx: &ForwardContext<'_>,
    ) -> (Tensor<3>, Option<Recurrence>) {
        let input = ctx.wants_recurrence().then(|| x.clone()); // [batch, seq, width]
        let mut of_runs: [Vec<Tensor<3>>; 3] = Default::default(); // decays and both gates, if anybody wants to see them
        let rate = softplus(self.recurrent_param.val()).unsqueeze::<3>() * -GATE_STRENGTH; // [1, 1, width]
        let h = ctx.recur(
            states,
            |state| &mut state.matrix,
            [x],
            |[x], state| {
                let ([batch, _, width], dtype) = (x.dims(), x.dtype());
                let r = self.recurrent_gate.forward(x.clone()); // [batch, run, width]
                let i = self.input_gate.forward(x.clone()); // [batch, run, width]
                let log_a = r.clone() * rate.clone(); // [batch, run, width]
                let mut root = ((log_a.clone() * 2.0).exp().neg() + 1.0).clamp_min(LEAST).sqrt(); // [batch, run, width]
                if state.is_none() {
                    root = ctx.with_first(root, 1.0);
                }
                let (a, state) = (log_a.exp(), state.map(|state| state.clone().reshape([batch, width])));
                if input.is_some() {
                    let seen = of_runs.iter_mut().zip([&a, &r, &i]);
                    seen.for_each(|(runs, run)| runs.push(run.clone()));
                }
                let inflow = x.cast(DType::F32) * i * root; // [batch, run, width]
                let (h, state) = linear_recurrence(&inflow, &a, state.as_ref(), self.kernels);
                (h.cast(dtype), state.reshape([batch, width, 1, 1])) // [batch, run, width], [batch, width, 1, 1]
            },
        );
        let seen = input.map(|x| {
            let [decay, r, i] = of_runs.map(|runs| Tensor::cat(runs, 1)); // [batch, seq, width]
            let gates = vec![("decay", decay), ("recurrent_gate", r), ("input_gate", i)];
            Recurrence { a: None, gates, inputs: vec![("x", x)] }
        });
        (h, seen)
    }

    fn load(mut weights: Weights<'_>, config: &RgLruConfig) -> Result<Self, WeightError> {
        let role = WeightRole::Recurrent(RecurrentWeight::DecayParameter);
        Ok(Self {
            input_gate: BlockGate::load(weights.at("input_gate"), config)?,
            recurrent_gate: BlockGate::load(weights.at("recurrent_gate"), config)?,
            kernels: weights.device().kernel_set(),
            recurrent_param: weights.in_f32().vector("recurrent_param", config.width, role)?,
        })
    }
}

/// sigmoid(x W + b) in blocks: the gate of a channel reads the channels of its block.
#[derive(Module, Debug)]
pub struct BlockGate {
    /// `[blocks, block_width, block_width]`, from the second axis to the third.
    weight: Param<Tensor<3>>,
    /// `[blocks, block_width]`
    bias: Param<Tensor<2>>,
}

impl BlockGate {
    /// `x` `[batch, seq, width]` -> the same shape, float32
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, width] = x.dims();
        let [blocks, block_width, _] = self.weight.dims();
        let x = x.reshape([batch * seq, blocks, block_width]).swap_dims(0, 1); // [blocks, batch * seq, block_width]
        let product = x.matmul(self.weight.val()).swap_dims(0, 1).cast(DType::F32); // [batch * seq, blocks, block_width]
        sigmoid(product + self.bias.val().unsqueeze()).reshape([batch, seq, width])
    }

    fn load(mut weights: Weights<'_>, config: &RgLruConfig) -> Result<Self, WeightError> {
        let (blocks, width) = (config.num_blocks, config.block_width());
        let role = WeightRole::Recurrent(RecurrentWeight::BlockGate);
        Ok(Self {
            weight: weights.tensor("weight", [blocks, width, width], role)?,
            bias: weights.in_f32().tensor("bias", [blocks, width], WeightRole::Bias)?,
        })
    }
}
