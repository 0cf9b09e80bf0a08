use burn::{
    module::Module,
    tensor::{
        Tensor,
        activation::{gelu, relu, silu},
    },
};
use glass_backend::{KernelSet, Linear, WeightError, WeightRole, Weights};
use glass_config::{Activation, DenseMlpConfig};

/// The gated MLP: `down_proj(act(gate_proj(x)) * up_proj(x))`, SwiGLU when the activation is SiLU.
/// Shazeer 2020, arXiv:2002.05202.
#[derive(Module, Debug)]
pub struct LlamaMlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    #[module(skip)]
    hidden_act: Activation,
    #[module(skip)]
    fused: KernelSet,
}

impl LlamaMlp {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &DenseMlpConfig, hidden_size: usize) -> Result<Self, WeightError> {
        let DenseMlpConfig { intermediate_size: inner, hidden_act, bias } = *config;
        let mut linear = |name, shape, role| Linear::load(weights.at(name), shape, bias, role);
        let (reads, writes) = (WeightRole::Projection, WeightRole::MlpOutput);
        Ok(Self {
            gate_proj: linear("gate_proj", [inner, hidden_size], reads)?,
            up_proj: linear("up_proj", [inner, hidden_size], reads)?,
            down_proj: linear("down_proj", [hidden_size, inner], writes)?,
            hidden_act,
            fused: weights.device().kernel_set(),
        })
    }

    /// `x` `[batch, seq, hidden_size]` -> the same shape
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [gate, up] = Linear::forward_all([&self.gate_proj, &self.up_proj], x); // [batch, seq, intermediate_size] each
        self.down_proj.forward(self.gated(gate, up)) // [batch, seq, hidden_size]
    }

    /// `act(gate) * up`, all `[batch, seq, intermediate_size]`
    fn gated(&self, gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
        let fused = match self.hidden_act {
            Activation::Silu => self.fused.silu_gate(&gate, &up),
            _ => None,
        };
        fused.unwrap_or_else(|| activate(self.hidden_act, gate) * up)
    }
}

fn activate(activation: Activation, x: Tensor<3>) -> Tensor<3> {
    match activation {
        Activation::Silu => silu(x),
        Activation::Gelu => gelu(x),
        // Hendrycks and Gimpel 2016, arXiv:1606.08415: the approximation by tanh.
        Activation::GeluTanh => {
            let inner = (x.clone() + x.clone().powi_scalar(3) * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
            x * 0.5 * (inner.tanh() + 1.0)
        }
        Activation::Relu => relu(x),
    }
}
