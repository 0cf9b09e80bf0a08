//! `y = x W^T + b`.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{Around, Device, Few, GateKernel, Input, Then, WeightError, WeightMatrix, WeightRole, Weights};

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
        let Each(outputs) = Self::forward_each(&projections, x).into_iter().collect();
        outputs
    }

    /// The same of any number of projections.
    ///
    /// `x` `[.., in]` -> `[.., out]` each
    pub fn forward_each<'a, const D: usize>(projections: &[&Self], x: impl Into<Input<'a, D>>) -> Few<Tensor<D>> {
        let weights: Few<_> = projections.iter().map(|projection| &projection.weight).collect();
        let products = WeightMatrix::matmul_t_through(&weights, x.into()); // [.., out] each
        let outputs = projections.iter().zip(products).map(|(projection, y)| match &projection.bias {
            Some(bias) => y + bias.val().unsqueeze(), // [.., out] + [1, .., out]
            None => y,
        });
        outputs.collect()
    }

    /// Queries, keys or values, head by head.
    ///
    /// `x` `[batch, seq, in]` -> `[batch, heads, seq, head_dim]` each
    pub fn forward_by_head<'a, const N: usize>(
        projections: [&Self; N],
        x: impl Into<Input<'a, 3>>,
        head_dim: usize,
    ) -> [Tensor<4>; N] {
        let x = x.into();
        let weights = projections.map(|projection| &projection.weight);
        if let Some(Each(mut products)) = WeightMatrix::matmul_t_by_head(&weights, &x, head_dim) {
            projections.iter().zip(&mut products).for_each(|(projection, y)| projection.add_bias_by_head(y));
            return products;
        }
        Self::forward_all(projections, x).map(|y| {
            let [batch, seq, width] = y.dims();
            y.reshape([batch, seq, width / head_dim, head_dim]).swap_dims(1, 2) // [batch, heads, seq, head_dim]
        })
    }

    /// `y` `[batch, heads, seq, head_dim]`
    fn add_bias_by_head(&self, y: &mut Tensor<4>) {
        let Some(bias) = &self.bias else { return };
        if self.weight.kernels().add_by_head(y, bias).is_none() {
            let [_, heads, _, head_dim] = y.dims();
            *y = y.clone() + bias.val().reshape([1, heads, 1, head_dim]); // [batch, heads, seq, head_dim]
        }
    }

    /// The projection of `x` added to `residual`.
    ///
    /// `x` `[.., in]`, `residual` `[.., out]` -> as `residual`
    pub fn forward_onto<const D: usize>(&self, x: Tensor<D>, residual: &Tensor<D>) -> Tensor<D> {
        if self.bias.is_none() {
            let around = Around { norm: None, then: Then::Add(residual) };
            if let Some(Each([sum])) = WeightMatrix::matmul_t_around(&[&self.weight], &x, around) {
                self.weight.kernels().recycle(x);
                return sum;
            }
        }
        residual.clone() + self.forward(x)
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
        let around = Around { norm: x.norm(), then: Then::Gate(activation) };
        let products = WeightMatrix::matmul_t_around(&[&gate.weight, &up.weight], x.unread(), around);
        products.map(|Each([gated])| gated)
    }
}

/// As many outputs as there are. A tensor is some hundreds of bytes, and what holds four is moved at a cost.
struct Each<T, const N: usize>([T; N]);

impl<T, const N: usize> FromIterator<T> for Each<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(outputs: I) -> Self {
        let mut outputs = outputs.into_iter();
        Self(std::array::from_fn(|_| match outputs.next() {
            Some(output) => output,
            None => unreachable!("an output of each"),
        }))
    }
}
