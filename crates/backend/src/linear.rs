//! `y = x W^T + b`.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{Around, Device, GateKernel, Input, Then, WeightError, WeightMatrix, WeightRole, Weights};

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

    /// Lays projections of the same `x` together, where a device's kernels compute such in one launch.
    pub fn lay_together(projections: &mut [&mut Self], device: &Device) {
        let mut weights: Vec<_> = projections.iter_mut().map(|projection| &mut projection.weight).collect();
        WeightMatrix::lay_together(&mut weights, device);
    }

    /// `x` `[.., in]` -> `[.., out]`
    pub fn forward<'a, const D: usize>(&self, x: impl Into<Input<'a, D>>) -> Tensor<D> {
        let [y] = Self::forward_all([self], x);
        y
    }

    /// Several projections of the same `x`: threads are woken once for all of them.
    ///
    /// `x` `[.., in]` -> `[.., out]` each
    pub fn forward_all<'a, const N: usize, const D: usize>(
        projections: [&Self; N],
        x: impl Into<Input<'a, D>>,
    ) -> [Tensor<D>; N] {
        match Self::forward_each(&projections, x).try_into() {
            Ok(outputs) => outputs,
            Err(_) => unreachable!("an output of each"),
        }
    }

    /// The same of any number of projections.
    ///
    /// `x` `[.., in]` -> `[.., out]` each
    pub fn forward_each<'a, const D: usize>(projections: &[&Self], x: impl Into<Input<'a, D>>) -> Vec<Tensor<D>> {
        let input = x.into();
        let shape = input.dims();
        let weights: Vec<_> = projections.iter().map(|projection| &projection.weight).collect();
        let products = WeightMatrix::matmul_t_through(&weights, input.map(flat)); // [n, out] each
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

    /// The projection of `x` added to `residual`.
    ///
    /// `x` `[.., in]`, `residual` `[.., out]` -> as `residual`
    pub fn forward_onto<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        if self.bias.is_none() {
            let onto = flat(residual.clone()); // [n, out]
            let around = Around { norm: None, then: Then::Add(&onto) };
            if let Some(sum) = WeightMatrix::matmul_t_around(&[&self.weight], &flat(x.clone()), around) {
                return shaped(sum, residual.dims());
            }
        }
        residual + self.forward(x)
    }

    /// `act(gate(x)) * up(x)` in one, where a kernel computes it so.
    ///
    /// `x` `[.., in]` -> `[.., out]`
    pub fn forward_gated<const D: usize>(
        [gate, up]: [&Self; 2],
        x: &Input<'_, D>,
        activation: GateKernel,
    ) -> Option<Tensor<D>> {
        if gate.bias.is_some() || up.bias.is_some() {
            return None;
        }
        let (flat, norm) = (flat(x.parts().0), x.parts().1);
        let norm = norm.as_ref().map(|(weight, norm)| (weight, *norm));
        let around = Around { norm, then: Then::Gate(activation) };
        let gated = WeightMatrix::matmul_t_around(&[&gate.weight, &up.weight], &flat, around)?;
        let mut shape = x.dims();
        shape[D - 1] = up.weight.shape()[0];
        Some(shaped(gated, shape))
    }
}

/// `[.., size]` -> `[n, size]`
fn flat<const D: usize>(x: Tensor<D>) -> Tensor<2> {
    let shape = x.dims();
    let n: usize = shape[..D - 1].iter().product();
    x.reshape([n, shape[D - 1]])
}

/// The only one of some results.
fn shaped<const D: usize>(mut results: Vec<Tensor<2>>, shape: [usize; D]) -> Tensor<D> {
    results.swap_remove(0).reshape(shape)
}
