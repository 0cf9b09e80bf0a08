//! A convolution over time that sees no future, each channel by itself.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use glass_attention::ForwardContext;
use glass_backend::{KernelSet, RecurrentWeight, WeightError, WeightRole, Weights, activate};
use glass_config::Activation;
use glass_kv_cache::LayerState;

/// `conv1d` of the files: `weight` `[channels, 1, kernel]`, `bias` `[channels]`.
#[derive(Module, Debug)]
pub struct CausalConv {
    weight: Param<Tensor<3>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    kernels: KernelSet,
}

impl CausalConv {
    /// # Errors
    /// A weight that is missing or does not fit.
    pub fn load(mut weights: Weights<'_>, channels: usize, kernel: usize, bias: bool) -> Result<Self, WeightError> {
        let mut weights = weights.in_f32();
        let role = WeightRole::Recurrent(RecurrentWeight::Conv);
        Ok(Self {
            weight: weights.tensor("weight", [channels, 1, kernel], role)?,
            kernels: weights.device().kernel_set(),
            bias: bias.then(|| weights.vector("bias", channels, WeightRole::Bias)).transpose()?,
        })
    }

    /// Each sequence goes on from its own last inputs.
    ///
    /// `x` `[batch, seq, channels]` -> the same shape
    pub fn forward(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        self.run(x, false, states, ctx)
    }

    /// The same, and the activation behind it.
    ///
    /// `x` `[batch, seq, channels]` -> the same shape
    pub fn activated(
        &self,
        x: Tensor<3>,
        activation: Activation,
        states: &mut [&mut LayerState],
        ctx: &ForwardContext<'_>,
    ) -> Tensor<3> {
        match activation {
            Activation::Silu => self.run(x, true, states, ctx),
            activation => activate(activation, None, self.forward(x, states, ctx)),
        }
    }

    fn run(&self, x: Tensor<3>, silu: bool, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let weight = self.weight.val().squeeze_dim::<2>(1); // [channels, kernel]
        let bias = self.bias.as_ref().map(Param::val);
        let conv = |[x]: [Tensor<3>; 1], tail: Option<&Tensor<3>>| {
            self.kernels.causal_conv(&x, tail, &weight, bias.as_ref(), silu).unwrap_or_else(|| {
                let (y, tail) = causal_conv(x, tail, &weight, bias.as_ref());
                (if silu { activate(Activation::Silu, None, y) } else { y }, tail)
            })
        };
        ctx.recur(states, |state| &mut state.conv, [x], conv)
    }
}

/// y_t = bias + sum over k of weight[k] · x_(t - kernel + 1 + k), channel by channel, in float32. `tail` holds the inputs
/// before the first one, in the type of `x`; `None`: zeros.
///
/// `x` `[batch, seq, channels]`, `tail` `[batch, channels, kernel - 1]`, `weight` `[channels, kernel]`, `bias` `[channels]`
/// -> `[batch, seq, channels]` in the type of `x`, and the next tail
pub fn causal_conv(
    x: Tensor<3>,
    tail: Option<&Tensor<3>>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> (Tensor<3>, Tensor<3>) {
    let [batch, seq, channels] = x.dims();
    let kernel = weight.dims()[1];
    let dtype = x.dtype();
    let x = x.cast(DType::F32).swap_dims(1, 2); // [batch, channels, seq]
    let zeros = || Tensor::zeros([batch, channels, kernel - 1], (&x.device(), DType::F32));
    let tail = tail.map_or_else(zeros, |tail| tail.clone().cast(DType::F32)); // [batch, channels, kernel - 1]
    let inputs = Tensor::cat(vec![tail, x], 2); // [batch, channels, kernel - 1 + seq]
    let taps = (0..kernel).map(|k| {
        let tap = weight.clone().narrow(1, k, 1).unsqueeze::<3>(); // [1, channels, 1]
        inputs.clone().narrow(2, k, seq) * tap // [batch, channels, seq]
    });
    let y = taps.reduce(|sum, tap| sum + tap);
    let Some(mut y) = y else { unreachable!("a kernel has a tap") };
    if let Some(bias) = bias {
        y = y + bias.clone().reshape([1, channels, 1]);
    }
    (y.swap_dims(1, 2).cast(dtype), inputs.narrow(2, seq, kernel - 1).cast(dtype))
}
