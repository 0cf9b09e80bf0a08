//! What computes on each token by itself: one MLP, or experts.

use burn::{module::Module, tensor::Tensor};
use glass_backend::{
    Few, GateKernel, Input, KernelSet, Linear, WeightError, WeightRole, Weights, Xielu, activate, clamped_gate,
};
use glass_config::{Activation, DenseMlpConfig, Gate, MlpConfig};

use crate::LlamaExperts;

/// A layer's second block.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a layer has one, and a few hundred bytes are nothing beside its weights"
)]
pub enum Mlp {
    Dense(LlamaMlp),
    Experts(LlamaExperts),
}

impl Mlp {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(weights: Weights<'_>, config: &MlpConfig, hidden_size: usize) -> Result<Self, WeightError> {
        Ok(match config {
            MlpConfig::Dense(mlp) => Self::Dense(LlamaMlp::load(weights, mlp, hidden_size)?),
            MlpConfig::Experts(experts) => Self::Experts(LlamaExperts::load(weights, experts, hidden_size)?),
        })
    }

    /// `x` `[batch, seq, hidden_size]` -> the same shape
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Dense(mlp) => mlp.forward(x),
            Self::Experts(experts) => experts.forward(x),
        }
    }

    /// Added to `residual`: `x` and `residual` `[batch, seq, hidden_size]` -> the same shape
    pub fn forward_onto(&self, x: Input<'_, 3>, residual: &Tensor<3>) -> Tensor<3> {
        match self {
            Self::Dense(mlp) => mlp.forward_onto(x, residual),
            Self::Experts(experts) => residual.clone() + experts.forward(x.tensor()),
        }
    }
}

/// The gated MLP: `down_proj(act(gate_proj(x)) * up_proj(x))`, SwiGLU when the activation is SiLU (Shazeer 2020,
/// arXiv:2002.05202); or the plain one, `down_proj(act(up_proj(x)))`.
#[derive(Module, Debug)]
pub struct LlamaMlp {
    gate_proj: Option<Linear>,
    up_proj: Linear,
    down_proj: Linear,
    /// The numbers of an activation that has some.
    act_fn: Option<Xielu>,
    #[module(skip)]
    config: DenseMlpConfig,
    #[module(skip)]
    fused: KernelSet,
}

impl LlamaMlp {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &DenseMlpConfig, hidden_size: usize) -> Result<Self, WeightError> {
        let DenseMlpConfig { intermediate_size: inner, hidden_act, bias, .. } = *config;
        let mut linear = |name, shape, role| Linear::load(weights.at(name), shape, bias, role);
        let (reads, writes) = (WeightRole::Projection, WeightRole::MlpOutput);
        let mut gate_proj = config.is_gated().then(|| linear("gate_proj", [inner, hidden_size], reads)).transpose()?;
        let mut up_proj = linear("up_proj", [inner, hidden_size], reads)?;
        let down_proj = linear("down_proj", [hidden_size, inner], writes)?;
        if let Some(gate_proj) = &mut gate_proj {
            Linear::lay_together(&mut [gate_proj, &mut up_proj], weights.device());
        }
        Ok(Self {
            gate_proj,
            up_proj,
            down_proj,
            act_fn: (hidden_act == Activation::Xielu).then(|| Xielu::load(weights.at("act_fn"))).transpose()?,
            config: *config,
            fused: weights.device().kernel_set(),
        })
    }

    /// `x` `[.., hidden_size]` -> the same shape
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mut outputs = Self::forward_all(&[self], x);
        outputs.swap_remove(0)
    }

    /// Added to `residual`: `x` and `residual` `[.., hidden_size]` -> the same shape
    pub fn forward_onto<const D: usize>(&self, x: Input<'_, D>, residual: &Tensor<D>) -> Tensor<D> {
        let inner = self.gated(&x).unwrap_or_else(|| Self::inner_all(&[self], x).swap_remove(0)); // [.., intermediate_size]
        self.down_proj.forward_onto(inner, residual)
    }

    /// Several MLPs of the same `x`: all that reads it is multiplied together.
    ///
    /// `x` `[.., hidden_size]` -> the same shape each
    pub fn forward_all<const D: usize>(mlps: &[&Self], x: Tensor<D>) -> Vec<Tensor<D>> {
        let inner = Self::inner_all(mlps, x.into()); // [.., intermediate_size] each
        mlps.iter().zip(inner).map(|(mlp, inner)| mlp.down_proj.forward(inner)).collect()
    }

    /// What is projected down.
    ///
    /// `x` `[.., hidden_size]` -> `[.., intermediate_size]` each
    fn inner_all<const D: usize>(mlps: &[&Self], x: Input<'_, D>) -> Few<Tensor<D>> {
        if let Some(gated) = mlps.iter().map(|mlp| mlp.gated(&x)).collect::<Option<_>>() {
            return gated;
        }
        let readers: Few<&Linear> = mlps.iter().flat_map(|mlp| mlp.gate_proj.iter().chain([&mlp.up_proj])).collect();
        let mut read = Linear::forward_each(&readers, x).into_iter(); // [.., intermediate_size] each
        let outputs = mlps.iter().map(|mlp| {
            let gate = mlp.gate_proj.as_ref().and_then(|_| read.next());
            let Some(up) = read.next() else { unreachable!("an output of each projection") };
            mlp.inner(gate, up)
        });
        outputs.collect()
    }

    /// What is projected down, where a kernel computes it in one.
    ///
    /// `x` `[.., hidden_size]` -> `[.., intermediate_size]`
    fn gated<const D: usize>(&self, x: &Input<'_, D>) -> Option<Tensor<D>> {
        let (gate, kernel) = (self.gate_proj.as_ref()?, self.gate_kernel()?);
        Linear::forward_gated([gate, &self.up_proj], x, kernel)
    }

    /// The gate as kernels compute it.
    fn gate_kernel(&self) -> Option<GateKernel> {
        match (self.config.gate, self.config.hidden_act) {
            (Gate::Clamped { .. }, _) => None,
            (_, Activation::Silu) => Some(GateKernel::Silu),
            (_, Activation::GeluTanh) => Some(GateKernel::GeluTanh),
            _ => None,
        }
    }

    /// What is projected down: `gate` and `up` `[.., intermediate_size]` -> the same shape
    fn inner<const D: usize>(&self, gate: Option<Tensor<D>>, up: Tensor<D>) -> Tensor<D> {
        let activation = self.config.hidden_act;
        let activate = |x| activate(activation, self.act_fn.as_ref(), x);
        match (self.config.gate, gate) {
            (Gate::Clamped { alpha, limit }, Some(gate)) => clamped_gate(gate, up, alpha, limit),
            (_, Some(gate)) => {
                let fused = self.gate_kernel().and_then(|kernel| self.fused.gate(kernel, &gate, &up));
                fused.unwrap_or_else(|| activate(gate) * up)
            }
            (_, None) => activate(up),
        }
    }
}
