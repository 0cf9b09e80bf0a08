//! How far a token moves the state.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use glass_backend::{KernelSet, RecurrentWeight, WeightError, WeightMatrix, WeightRole, Weights};

/// softplus(weight · x + bias), above 0; bias and softplus in float32.
#[derive(Module, Debug)]
pub struct TimeStep {
    weight: WeightMatrix,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    kernels: KernelSet,
}

impl TimeStep {
    /// `weight` `[channels, rank]`, `bias` `[channels]`
    ///
    /// # Errors
    /// A weight that is missing or does not fit.
    pub fn load(mut weights: Weights<'_>, [channels, rank]: [usize; 2]) -> Result<Self, WeightError> {
        let role = WeightRole::Recurrent;
        Ok(Self {
            weight: WeightMatrix::load(&mut weights, "weight", [channels, rank], role(RecurrentWeight::TimeStep))?,
            bias: weights.in_f32().vector("bias", channels, role(RecurrentWeight::TimeStepBias))?,
            kernels: weights.device().kernel_set(),
        })
    }

    /// `x` `[batch, seq, rank]` -> `[batch, seq, channels]`, float32
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, rank] = x.dims();
        let mut products = WeightMatrix::matmul_t_all(&[&self.weight], x.reshape([batch * seq, rank]));
        let dt = products.swap_remove(0).reshape([batch, seq, self.bias.dims()[0]]); // [batch, seq, channels]
        let bias = self.bias.val();
        self.kernels.softplus(&dt, &bias).unwrap_or_else(|| softplus(dt.cast(DType::F32) + bias.unsqueeze()))
    }
}

/// ln(1 + e^x), without overflow.
pub fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone().clamp_min(0.0) + (x.abs().neg().exp() + 1.0).log()
}
