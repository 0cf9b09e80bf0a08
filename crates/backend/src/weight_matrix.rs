//! A matrix of weights, in as many tensors as the device's binding limit asks for.

use std::ops::Deref;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Int, Tensor},
};

use crate::{Around, Device, Few, Input, KernelSet, Matrices, QuantizedTensor, Then, WeightError, WeightRole, Weights};

/// A matrix of weights `[rows, columns]` in the order in which Hugging Face stores it: one row per token of an embedding,
/// one row per output of a projection.
///
/// WebGPU promises bindings of 128 MiB and no more, and a vocabulary of 128,256 tokens by 2048 is 1 GiB in float32. So the
/// matrix is split between rows where the device's limit demands it. This type hides the split, and whether the weights are
/// quantized.
#[derive(Module, Debug)]
pub struct WeightMatrix {
    /// `[rows of this part, columns]` each, in order; empty if the matrix is quantized or packed.
    parts: Vec<Param<Tensor<2>>>,
    /// The same of such a matrix.
    #[module(skip)]
    quantized: Vec<QuantizedTensor>,
    #[module(skip)]
    kernels: KernelSet,
}

impl WeightMatrix {
    /// Loads tensor `name` of `weights`, which must have the shape `[rows, columns]`.
    ///
    /// # Errors
    /// What the source says; [`WeightError::RowTooLarge`] if a single row is over the device's limit.
    pub fn load(
        weights: &mut Weights<'_>,
        name: &str,
        [rows, columns]: [usize; 2],
        role: WeightRole,
    ) -> Result<Self, WeightError> {
        let is_quantized = weights.is_quantized(name, [rows, columns], role)?;
        let packed = weights.packed();
        // Where there is no kernel for it, a quantized matrix is dequantized, in 32-bit integers first.
        let row_bytes = columns * if is_quantized { 4 } else { weights.dtype().bytes() };
        let per_part = rows_per_part(rows, row_bytes, weights.device()).map_err(|limit| WeightError::RowTooLarge {
            name: weights.full_name(name),
            row_bytes: row_bytes as u64,
            limit,
            device: weights.device().name().to_owned(),
        })?;
        let cuts = (0..rows).step_by(per_part);
        let cuts = cuts.map(|start| start..rows.min(start + per_part));
        let kernels = weights.device().kernel_set();
        let (mut parts, mut quantized) = (Vec::new(), Vec::new());
        for cut in cuts {
            if is_quantized {
                quantized.push(weights.quantized_rows(name, [rows, columns], role, cut)?);
            } else if let Some(dtype) = packed {
                quantized.push(weights.packed_rows(name, [rows, columns], role, cut, dtype)?);
            } else {
                parts.push(weights.rows(name, [rows, columns], role, cut)?);
            }
        }
        Ok(Self { parts, quantized, kernels })
    }

    /// The number of tensors that hold the matrix.
    pub fn parts(&self) -> usize {
        self.parts.len() + self.quantized.len()
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        let shapes = || {
            let parts = self.parts.iter().map(|part| part.dims());
            parts.chain(self.quantized.iter().map(QuantizedTensor::shape))
        };
        let rows = shapes().map(|[rows, _]| rows).sum();
        [rows, shapes().next().map_or(0, |[_, columns]| columns)]
    }

    /// The rows with these numbers: an embedding.
    ///
    /// `ids` `[n]` with every id below the number of rows -> `[n, columns]`
    pub fn select(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        if self.parts() == 1 {
            return self.select_from(0, ids); // [n, columns]
        }
        // Every part is asked for every id, clamped into its range; the answers of the right part are kept.
        let mut start = 0i64;
        let mut selected: Option<Tensor<2>> = None;
        for part in 0..self.parts() {
            let rows = self.rows_of(part) as i64;
            let local = ids.clone() - start; // [n]
            let here = self.select_from(part, local.clone().clamp(0, rows - 1)); // [n, columns]
            selected = Some(match selected {
                None => here,
                Some(before) => {
                    let shape = before.dims();
                    let mine = local.greater_equal_elem(0).unsqueeze_dim::<2>(1).expand(shape); // [n, columns]
                    before.mask_where(mine, here)
                }
            });
            start += rows;
        }
        selected.unwrap_or_else(|| unreachable!("there is more than one part"))
    }

    /// The same of ids as they come, where a kernel reads them so.
    ///
    /// `ids` `[batch, seq]` -> `[batch, seq, columns]`
    pub(crate) fn select_in_place(&self, ids: &Tensor<2, Int>) -> Option<Tensor<3>> {
        match (&self.parts[..], &self.quantized[..]) {
            ([], [quantized]) => self.kernels.select_in_place(quantized, ids),
            _ => None,
        }
    }

    fn rows_of(&self, part: usize) -> usize {
        match self.quantized.get(part) {
            Some(quantized) => quantized.shape()[0],
            None => self.parts[part].dims()[0],
        }
    }

    /// `ids` `[n]` -> `[n, columns]`
    fn select_from(&self, part: usize, ids: Tensor<1, Int>) -> Tensor<2> {
        match self.quantized.get(part) {
            Some(quantized) => {
                let selected = self.kernels.select(quantized, &ids);
                selected.unwrap_or_else(|| quantized.select(ids))
            }
            None => self.parts[part].val().select(0, ids),
        }
    }

    /// The product with the transposed matrix, `x W^T`: a projection, or the head.
    ///
    /// `x` `[.., columns]` -> `[.., rows]`
    pub fn matmul_t<'a, const D: usize>(&self, x: impl Into<Input<'a, D>>) -> Tensor<D> {
        let mut outputs = Self::matmul_t_through(&[self], x.into());
        outputs.swap_remove(0)
    }

    /// The products with several matrices, behind the norm of what they read where there is one.
    ///
    /// `x` `[.., columns]` -> `[.., rows]` each
    pub(crate) fn matmul_t_through<const D: usize>(matrices: &[&Self], x: Input<'_, D>) -> Few<Tensor<D>> {
        let around = Around { norm: x.norm(), then: Then::Nothing };
        if let Some(products) = Self::matmul_t_around(matrices, x.unread(), around) {
            return products;
        }
        let shape = x.dims();
        let (n, columns) = (shape[..D - 1].iter().product(), shape[D - 1]);
        let products = Self::matmul_t_all(matrices, x.tensor().reshape([n, columns])); // [n, rows] each
        let shaped = products.into_iter().map(|y| {
            let mut shape = shape;
            shape[D - 1] = y.dims()[1];
            y.reshape(shape) // [.., rows]
        });
        shaped.collect()
    }

    /// The products with several matrices of equally many columns.
    ///
    /// `x` `[n, columns]` -> `[n, rows]` each
    pub fn matmul_t_all(matrices: &[&Self], x: Tensor<2>) -> Vec<Tensor<2>> {
        let kernels = matrices.first().map_or(KernelSet::NONE, |matrix| matrix.kernels);
        let plain = |weight: Tensor<2>| x.clone().matmul(weight.transpose()); // [n, rows of this part]
        let weights: Vec<_> = matrices.iter().flat_map(|matrix| matrix.parts.iter().map(Param::val)).collect();
        let quantized: Vec<_> = matrices.iter().flat_map(|matrix| &matrix.quantized).collect();
        let products = kernels.matmul_t(&x, &weights.iter().collect::<Few<_>>(), Around::default());
        let products = products.unwrap_or_else(|| weights.into_iter().map(plain).collect());
        let of_quantized = kernels.matmul_t_quantized(&x, &quantized, Around::default());
        let of_quantized = of_quantized.unwrap_or_else(|| {
            let weights =
                quantized.iter().map(|weight| kernels.dequantize(weight).unwrap_or_else(|| weight.dequantize()));
            weights.map(plain).collect()
        });
        let (mut products, mut of_quantized) = (products.into_iter(), of_quantized.into_iter());
        let joined = matrices.iter().map(|matrix| {
            let parts = products.by_ref().take(matrix.parts.len());
            let mut parts: Vec<_> = parts.chain(of_quantized.by_ref().take(matrix.quantized.len())).collect();
            match parts.len() {
                1 => parts.swap_remove(0),
                _ => Tensor::cat(parts, 1), // [n, rows]
            }
        });
        joined.collect()
    }

    /// The same with more computed in the same launches. `None` where no kernel does so, and for matrices in several tensors.
    ///
    /// `x` `[.., columns]` -> `[.., rows]` each, or what is made of them
    pub(crate) fn matmul_t_around<const D: usize, C: FromIterator<Tensor<D>>>(
        matrices: &[&Self],
        x: &Tensor<D>,
        around: Around<'_, D>,
    ) -> Option<C> {
        matrices.first()?.kernels.multiply(x, &Self::held(matrices)?, around)
    }

    /// Queries, keys or values, head by head, where a kernel writes them so.
    ///
    /// `x` `[batch, seq, columns]` -> `[batch, heads, seq, head_dim]` each
    pub(crate) fn matmul_t_by_head<C: FromIterator<Tensor<4>>>(
        matrices: &[&Self],
        x: &Input<'_, 3>,
        head_dim: usize,
    ) -> Option<C> {
        let held = Self::held(matrices)?;
        matrices.first()?.kernels.multiply_by_head(x.unread(), &held, x.norm(), head_dim)
    }

    /// What kernels multiply; `None` of matrices in several tensors, and where some are quantized and others are not.
    fn held<'a>(matrices: &[&'a Self]) -> Option<Matrices<'a>> {
        if matrices.iter().any(|matrix| matrix.parts() != 1) {
            return None;
        }
        let floats: Few<&Tensor<2>> =
            matrices.iter().flat_map(|matrix| matrix.parts.iter().map(Deref::deref)).collect();
        let quantized: Few<_> = matrices.iter().flat_map(|matrix| &matrix.quantized).collect();
        match (floats.len(), quantized.len()) {
            (_, 0) => Some(Matrices::Floats(floats)),
            (0, _) => Some(Matrices::Quantized(quantized)),
            _ => None,
        }
    }

    /// What multiplies it.
    pub(crate) fn kernels(&self) -> KernelSet {
        self.kernels
    }

    /// Lays neighbours that are of one kind and in one tensor each together in memory, where the device's kernels multiply such
    /// in one launch. What they are does not change.
    pub(crate) fn lay_together(matrices: &mut [&mut Self], device: &Device) {
        let most = device.max_binding().unwrap_or(u64::MAX);
        let alike = |a: &&mut Self, b: &&mut Self| a.parts.len() == b.parts.len() && a.parts() == 1 && b.parts() == 1;
        for run in matrices.chunk_by_mut(alike).filter(|run| run.len() > 1) {
            let kernels = run[0].kernels;
            let weights: Vec<_> = run.iter().flat_map(|matrix| matrix.parts.iter().map(Param::val)).collect();
            let row_bytes = weights.first().map(|weight| weight.dims()[1] * weight.dtype().size());
            let laid = row_bytes.and_then(|bytes| kernels.lay_together(&weights, &[bytes], most));
            for (matrix, laid) in run.iter_mut().zip(laid.into_iter().flatten()) {
                matrix.parts = matrix.parts.drain(..).map(|part| part.map(|_| laid.clone())).collect();
            }
            let mut quantized: Vec<_> = run.iter_mut().flat_map(|matrix| &mut matrix.quantized).collect();
            QuantizedTensor::lay_together(kernels, &mut quantized, most);
        }
    }
}

/// How many rows go into one tensor, at least one; the limit as error if not even one does.
fn rows_per_part(rows: usize, row_bytes: usize, device: &Device) -> Result<usize, u64> {
    match device.max_binding() {
        None => Ok(rows.max(1)),
        Some(limit) => match usize::try_from(limit).unwrap_or(usize::MAX) / row_bytes.max(1) {
            0 => Err(limit),
            fitting => Ok(fitting.min(rows.max(1))),
        },
    }
}
/// Whether a module has a matrix of floats: what is quantized is none.
pub fn has_float_matrices(module: &impl Module) -> bool {
    struct Matrices(bool);
    impl ModuleVisitor for Matrices {
        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.0 |= D > 1;
        }
    }
    let mut matrices = Matrices(false);
    module.visit(&mut matrices);
    matrices.0
}
