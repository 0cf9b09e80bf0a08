//! Norms: of hidden states and, in some families, of queries and keys.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use glass_config::{NormConfig, NormKind, NormWeight};
use glass_kernels::RmsNorm;

use crate::{KernelSet, WeightError, WeightRole, Weights};

/// RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467) or LayerNorm (Ba et al. 2016, arXiv:1607.06450).
#[derive(Module, Debug)]
pub struct Norm {
    /// `[size]`
    weight: Option<Param<Tensor<1>>>,
    /// `[size]`
    bias: Option<Param<Tensor<1>>>,
    /// In place of a weight, where there is none: the kernels take one.
    #[module(skip)]
    ones: Option<Tensor<1>>,
    #[module(skip)]
    config: NormConfig,
    #[module(skip)]
    kernels: KernelSet,
}

impl Norm {
    /// Norms vectors of `size`: the hidden size, or what queries and keys are normed by.
    ///
    /// # Errors
    /// `weight` or `bias` is missing or is not `[size]`.
    pub fn load(mut weights: Weights<'_>, size: usize, config: &NormConfig) -> Result<Self, WeightError> {
        let role = weight_role(config);
        let kernels = weights.device().kernel_set();
        let ones = (role.is_none() && !kernels.is_plain())
            .then(|| Tensor::ones([size], (weights.device().burn(), weights.dtype().burn())));
        Ok(Self {
            weight: role.map(|role| weights.vector("weight", size, role)).transpose()?,
            ones,
            bias: config.bias.then(|| weights.vector("bias", size, WeightRole::Bias)).transpose()?,
            config: *config,
            kernels,
        })
    }

    /// Along the last axis, mean and division in float32.
    ///
    /// `x` `[.., size]` -> the same shape
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if let Some((weight, rms)) = self.fused()
            && let Some(normed) = self.kernels.rms_norm(&x, weight, rms)
        {
            return normed;
        }
        let row = |vector: &Param<Tensor<1>>| vector.val().unsqueeze(); // [1, .., size]
        norm(&self.config, x, self.weight.as_ref().map(row), self.bias.as_ref().map(row))
    }

    /// The same of vectors where they lie, in whatever order; false, and nothing was changed: it takes a tensor more.
    pub fn forward_in_place<const D: usize>(&self, x: &mut Tensor<D>) -> bool {
        let normed = self.fused().and_then(|(weight, rms)| self.kernels.rms_norm_in_place(x, weight, rms));
        normed.is_some()
    }

    /// Groups of a vector, each by itself, with its part of the weight.
    ///
    /// `x` `[batch, seq, groups, size / groups]` -> the same shape
    pub fn forward_groups(&self, x: Tensor<4>) -> Tensor<4> {
        let [.., groups, width] = x.dims();
        if groups == 1 {
            return self.forward(x);
        }
        let each = |vector: &Param<Tensor<1>>| vector.val().reshape([1, 1, groups, width]);
        norm(&self.config, x, self.weight.as_ref().map(each), self.bias.as_ref().map(each))
    }

    /// `x + delta`, and the norm of that.
    ///
    /// `x` and `delta` `[.., size]` -> the same shape each
    pub fn forward_sum<const D: usize>(&self, x: Tensor<D>, delta: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        if let Some((weight, rms)) = self.fused()
            && let Some(summed) = self.kernels.add_rms_norm(&x, &delta, weight, rms)
        {
            return summed;
        }
        let sum = x + delta; // [.., size]
        (sum.clone(), self.forward(sum))
    }

    /// Whether projections of so many vectors norm what they read by this one themselves.
    pub(crate) fn is_read_through(&self, tokens: usize) -> bool {
        self.kernels.norms_in_products(tokens) && self.is_fused() && (self.weight.is_some() || self.ones.is_some())
    }

    /// Whether it is of the kind that kernels compute.
    fn is_fused(&self) -> bool {
        self.config.kind == NormKind::Rms && !self.config.bias
    }

    /// What the kernels take; they compute RMSNorm with a weight.
    pub(crate) fn fused(&self) -> Option<(&Tensor<1>, RmsNorm)> {
        if !self.is_fused() {
            return None;
        }
        let plus_one = self.config.weight == NormWeight::OnePlus;
        let weight = self.weight.as_deref().or(self.ones.as_ref())?;
        Some((weight, RmsNorm { eps: self.config.eps as f32, plus_one }))
    }
}

/// A norm of heads, each with its own weights.
#[derive(Module, Debug)]
pub struct HeadNorm {
    /// `[heads, head_dim]`
    weight: Option<Param<Tensor<2>>>,
    /// `[heads, head_dim]`
    bias: Option<Param<Tensor<2>>>,
    #[module(skip)]
    config: NormConfig,
}

impl HeadNorm {
    /// `shape`: `[heads, head_dim]`
    ///
    /// # Errors
    /// `weight` or `bias` is missing or has another shape.
    pub fn load(mut weights: Weights<'_>, shape: [usize; 2], config: &NormConfig) -> Result<Self, WeightError> {
        let mut rows = |name, role| weights.rows(name, shape, role, 0..shape[0]);
        let role = weight_role(config);
        Ok(Self {
            weight: role.map(|role| rows("weight", role)).transpose()?,
            bias: config.bias.then(|| rows("bias", WeightRole::Bias)).transpose()?,
            config: *config,
        })
    }

    /// `x` `[batch, seq, heads, head_dim]` -> the same shape
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let each = |rows: &Param<Tensor<2>>| rows.val().unsqueeze(); // [1, 1, heads, head_dim]
        norm(&self.config, x, self.weight.as_ref().map(each), self.bias.as_ref().map(each))
    }
}

fn weight_role(config: &NormConfig) -> Option<WeightRole> {
    match config.weight {
        NormWeight::None => None,
        NormWeight::Times => Some(WeightRole::Norm),
        NormWeight::OnePlus => Some(WeightRole::NormOffset),
    }
}

/// The definition.
///
/// `x` `[.., size]`, `weight` and `bias` to be broadcast to it -> as `x`
fn norm<const D: usize>(
    config: &NormConfig,
    x: Tensor<D>,
    weight: Option<Tensor<D>>,
    bias: Option<Tensor<D>>,
) -> Tensor<D> {
    let dtype = x.dtype();
    let mut x = x.cast(DType::F32);
    if config.kind == NormKind::Layer {
        x = x.clone() - x.mean_dim(D - 1); // [.., size] - [.., 1]
    }
    let mean_square = x.clone().square().mean_dim(D - 1); // [.., 1]
    let normed = x / (mean_square + config.eps).sqrt(); // [.., size]
    let scaled = match (config.weight, weight) {
        // Llama's is rounded to the type before the weight, all others behind it.
        (NormWeight::Times, Some(weight)) if config.kind == NormKind::Rms => normed.cast(dtype) * weight,
        (NormWeight::OnePlus, Some(weight)) => normed * (weight.cast(DType::F32) + 1.0),
        (_, Some(weight)) => normed * weight.cast(DType::F32),
        (_, None) => normed,
    }; // [.., size]
    match bias {
        Some(bias) => (scaled + bias.cast(DType::F32)).cast(dtype), // [.., size]
        None => scaled.cast(dtype),
    }
}
