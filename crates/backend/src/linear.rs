//! `y = x W^T + b`.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{WeightError, WeightMatrix, WeightRole, Weights};

/// A projection with weights `[out, in]`, as Hugging Face stores them: one row for each output.
#[derive(Module, Debug)]
pub struct Linear {
    weight: WeightMatrix,
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Loads `weight` `[out, in]` and, if `bias` is set, `bias` `[out]`; `role` is the matrix's.
    ///
    /// # Errors
    /// What the source says of either tensor.
    pub fn load(
        mut weights: Weights<'_>,
        [out, input]: [usize; 2],
        bias: bool,
        role: WeightRole,
    ) -> Result<Self, WeightError> {
        Ok(Self {
            weight: WeightMatrix::load(&mut weights, "weight", [out, input], role)?,
            bias: if bias { Some(weights.vector("bias", out, WeightRole::Bias)?) } else { None },
        })
    }

    /// `x` `[.., in]` -> `[.., out]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let [y] = Self::forward_all([self], x);
        y
    }

    /// Several projections of the same `x`: threads are woken once for all of them.
    ///
    /// `x` `[.., in]` -> `[.., out]` each
    pub fn forward_all<const N: usize, const D: usize>(projections: [&Self; N], x: Tensor<D>) -> [Tensor<D>; N] {
        match Self::forward_each(&projections, x).try_into() {
            Ok(outputs) => outputs,
            Err(_) => unreachable!("an output of each"),
        }
    }

    /// The same of any number of projections.
    ///
    /// `x` `[.., in]` -> `[.., out]` each
    pub fn forward_each<const D: usize>(projections: &[&Self], x: Tensor<D>) -> Vec<Tensor<D>> {
        let shape = x.dims();
        let input = shape[D - 1];
        let n: usize = shape[..D - 1].iter().product();

        let weights: Vec<_> = projections.iter().map(|projection| &projection.weight).collect();
        let products = WeightMatrix::matmul_t_all(&weights, x.reshape([n, input])); // [n, out] each
        let outputs = projections.iter().zip(products).map(|(projection, y)| {
            let y = match &projection.bias {
                Some(bias) => y + bias.val().unsqueeze(), // [n, out] + [1, out]
                None => y,
            };
            let mut shape = shape;
            shape[D - 1] = projection.weight.shape()[0];
            y.reshape(shape)
        });
        outputs.collect()
    }
}
