//! What projections compute beside their products, where a device's kernels do so in the same launch.

use std::borrow::Cow;

use burn::tensor::Tensor;
use glass_kernels::{Gate, RmsNorm};

use crate::Norm;

/// What is computed before and behind products of vectors `[.., columns]`, a tensor of D axes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a, const D: usize = 2> {
    /// `x` is read through this norm: its weight `[columns]`.
    pub norm: Option<(&'a Tensor<1>, RmsNorm)>,
    pub then: Then<'a, D>,
}

/// What is done with products.
#[derive(Clone, Copy, Debug, Default)]
pub enum Then<'a, const D: usize = 2> {
    #[default]
    Nothing,
    /// That of the only matrix is added to this `[.., rows]`.
    Add(&'a Tensor<D>),
    /// `act(gate) * up`: of two matrices of equally many rows one result is left.
    Gate(Gate),
}

impl<const D: usize> Around<'_, D> {
    /// Whether products are all there is.
    pub fn is_nothing(&self) -> bool {
        self.norm.is_none() && matches!(self.then, Then::Nothing)
    }
}

/// What a block of a layer reads: vectors, through a norm where there is one in front.
#[derive(Clone, Debug)]
pub struct Input<'a, const D: usize> {
    /// `[.., size]`
    x: Cow<'a, Tensor<D>>,
    /// That of projections, which they compute themselves.
    norm: Option<&'a Norm>,
}

impl<const D: usize> From<Tensor<D>> for Input<'_, D> {
    fn from(x: Tensor<D>) -> Self {
        Self { x: Cow::Owned(x), norm: None }
    }
}

impl<'a, const D: usize> Input<'a, D> {
    /// `x` `[.., size]` through `norm`: normed now, or by the projections that read it where these do so themselves.
    pub fn through(norm: Option<&'a Norm>, x: Tensor<D>) -> Self {
        Self::of(norm, Cow::Owned(x))
    }

    /// The same of vectors that are needed again.
    pub fn lent(norm: Option<&'a Norm>, x: &'a Tensor<D>) -> Self {
        Self::of(norm, Cow::Borrowed(x))
    }

    fn of(norm: Option<&'a Norm>, x: Cow<'a, Tensor<D>>) -> Self {
        let tokens: usize = x.dims()[..D - 1].iter().product();
        match norm {
            Some(norm) if !norm.is_read_through(tokens) => norm.forward(x.into_owned()).into(),
            norm => Self { x, norm },
        }
    }

    /// The vectors that are read: `[.., size]`
    pub fn tensor(self) -> Tensor<D> {
        match self.norm {
            Some(norm) => norm.forward(self.x.into_owned()),
            None => self.x.into_owned(),
        }
    }

    pub fn dims(&self) -> [usize; D] {
        self.x.dims()
    }

    /// Some of the vectors, as `choose` takes them.
    pub fn map<const E: usize>(self, choose: impl FnOnce(Tensor<D>) -> Tensor<E>) -> Input<'a, E> {
        Input { x: Cow::Owned(choose(self.x.into_owned())), norm: self.norm }
    }

    /// The vectors as they are, which may be in front of a norm: to wait for them.
    pub fn unread(&self) -> &Tensor<D> {
        &self.x
    }

    /// The norm that projections compute.
    pub(crate) fn norm(&self) -> Option<(&'a Tensor<1>, RmsNorm)> {
        self.norm.and_then(Norm::fused)
    }
}
