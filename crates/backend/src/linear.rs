//! `y = x W^T + b`.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{Rows, WeightError, Weights};

/// A projection with weights `[out, in]`, the order in which Hugging Face stores them, which is also the order
/// in which one row makes one output.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Rows,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Loads `weight` `[out, in]` and, if `bias` is set, `bias` `[out]`.
    ///
    /// # Errors
    /// What the source says of either tensor.
    pub fn load(
        mut weights: Weights<'_>,
        [out, input]: [usize; 2],
        bias: bool,
    ) -> Result<Self, WeightError> {
        Ok(Self {
            weight: Rows::load(&mut weights, "weight", [out, input])?,
            bias: match bias {
                true => Some(weights.vector("bias", out)?),
                false => None,
            },
        })
    }

    /// `x` `[.., in]` -> `[.., out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let [y] = Self::forward_all([self], x);
        y
    }

    /// Several projections of the same `x`, for which a device may have to be woken only once.
    ///
    /// `x` `[.., in]` -> `[.., out]` each
    pub fn forward_all<const N: usize, const D: usize>(
        projections: [&Self; N],
        x: Tensor<D>,
    ) -> [Tensor<D>; N] {
        let shape = x.dims();
        let input = shape[D - 1];
        let n: usize = shape[..D - 1].iter().product();

        let weights = projections.map(|projection| &projection.weight);
        let products = Rows::project_all(&weights, x.reshape([n, input])); // [n, out] each
        let mut products = products.into_iter();
        projections.map(|projection| {
            let Some(y) = products.next() else {
                unreachable!("a product for each matrix")
            };
            let y = match &projection.bias {
                Some(bias) => y + bias.val().unsqueeze(), // [n, out] + [1, out]
                None => y,
            };
            let mut shape = shape;
            shape[D - 1] = projection.weight.shape()[0];
            y.reshape(shape)
        })
    }
}
