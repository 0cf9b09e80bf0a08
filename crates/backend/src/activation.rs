//! What is between the projections of an MLP.

use burn::{
    module::{Module, Param},
    tensor::{
        Tensor,
        activation::{gelu, relu, sigmoid, silu, softplus},
    },
};
use glass_config::Activation;

use crate::{ActivationWeight, WeightError, WeightRole, Weights};

/// `x` of any shape -> the same shape. `xielu` holds the numbers of an activation that has some.
pub fn activate<const D: usize>(activation: Activation, xielu: Option<&Xielu>, x: Tensor<D>) -> Tensor<D> {
    match activation {
        Activation::Silu => silu(x),
        Activation::Gelu => gelu(x),
        // Hendrycks and Gimpel 2016, arXiv:1606.08415: the approximation by tanh.
        Activation::GeluTanh => {
            let inner = (x.clone() + x.clone().powi_scalar(3) * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
            x * 0.5 * (inner.tanh() + 1.0)
        }
        Activation::Relu => relu(x),
        Activation::Relu2 => relu(x).square(),
        Activation::Xielu => match xielu {
            Some(xielu) => xielu.forward(x),
            None => unreachable!("loaded with the MLP"),
        },
    }
}

/// gpt-oss' gate (arXiv:2508.10925): `gate` and `up` limited, `gate * sigmoid(alpha gate) * (up + 1)`.
///
/// `gate`, `up` of one shape -> the same shape
pub fn clamped_gate<const D: usize>(gate: Tensor<D>, up: Tensor<D>, alpha: f64, limit: f64) -> Tensor<D> {
    let gate = gate.clamp_max(limit);
    let up = up.clamp(-limit, limit);
    gate.clone() * sigmoid(gate * alpha) * (up + 1.0)
}

/// xIELU, whose two slopes are learned: Huang and Schlag 2024, arXiv:2411.13010.
#[derive(Module, Debug)]
pub struct Xielu {
    /// `[1]`
    alpha_p: Param<Tensor<1>>,
    /// `[1]`
    alpha_n: Param<Tensor<1>>,
    /// `[1]`, not learned.
    beta: Param<Tensor<1>>,
    /// `[1]`, not learned.
    eps: Param<Tensor<1>>,
}

impl Xielu {
    /// # Errors
    /// A number that is missing.
    pub fn load(mut weights: Weights<'_>) -> Result<Self, WeightError> {
        let role = WeightRole::Activation;
        Ok(Self {
            alpha_p: weights.vector("alpha_p", 1, role(ActivationWeight::AlphaP))?,
            alpha_n: weights.vector("alpha_n", 1, role(ActivationWeight::AlphaN))?,
            beta: weights.scalar("beta", role(ActivationWeight::Beta))?.set_require_grad(false),
            eps: weights.scalar("eps", role(ActivationWeight::Eps))?.set_require_grad(false),
        })
    }

    /// Above 0 `a x^2 + beta x`, below `b (e^x - 1 - x) + beta x`.
    ///
    /// `x` of any shape -> the same shape
    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let number = |param: &Param<Tensor<1>>| param.val().unsqueeze::<D>(); // [1, ..]
        let (beta, eps) = (number(&self.beta), number(&self.eps));
        let a = softplus(number(&self.alpha_p), 1.0);
        let b = softplus(number(&self.alpha_n), 1.0) + beta.clone();
        let negative = x.clone().lower_equal_elem(0.0);
        let shape = x.dims();
        let above = x.clone().square() * a;
        let below = (x.clone().min_pair(eps.expand(shape)).exp() - 1.0 - x.clone()) * b;
        above.mask_where(negative, below) + x * beta
    }
}
