//! Products on flex, and what is computed around them.

use burn::{
    backend::flex::FlexTensor,
    tensor::{DType, Element as BurnElement, Tensor},
};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Float, Isa, Matrix};
use half::{bf16, f16};

use super::{Floats, contiguous, floats, gate, primitive, rms_norm};
use crate::{Around, Then};

pub fn matmul_t(x: &Tensor<2>, weights: &[Tensor<2>], around: Around<'_>) -> Option<Vec<Tensor<2>>> {
    let weights: Vec<FlexTensor> = weights.iter().map(primitive).collect::<Option<_>>()?;
    match weights.first()?.dtype() {
        DType::F32 => matmul_t_by::<f32>(x, &weights, around),
        DType::F16 => matmul_t_by::<f16>(x, &weights, around),
        DType::BF16 if x.dtype() == DType::BF16 => {
            // Processors that multiply bfloat16 take it as it is.
            let x = match around.norm {
                Some((weight, norm)) => rms_norm(x, weight, norm)?,
                None => x.clone(),
            };
            let values = contiguous(primitive(&x)?);
            let values = values.as_slice::<bf16>()?;
            let mut outputs = Outputs::new(&x, weights.iter().map(rows), around.then)?;
            cpu::matmul_t_bf16(values, &mut outputs.of(matrices(&weights, x.dims()[1])?));
            outputs.finish()
        }
        DType::BF16 => matmul_t_by::<bf16>(x, &weights, around),
        _ => None,
    }
}

fn matmul_t_by<W: Float + BurnElement + Pod>(
    x: &Tensor<2>,
    weights: &[FlexTensor],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let mut outputs = Outputs::new(x, weights.iter().map(rows), around.then)?;
    let values = read(x, around)?;
    cpu::matmul_t(values.values(), &mut outputs.of(matrices::<W>(weights, x.dims()[1])?));
    outputs.finish()
}

fn rows(weight: &FlexTensor) -> usize {
    weight.layout().shape()[0]
}

fn matrices<W: BurnElement + Pod>(weights: &[FlexTensor], columns: usize) -> Option<Vec<Matrix<'_, W>>> {
    weights.iter().map(|weight| Some(Matrix::new(weight.as_slice()?, columns))).collect()
}

/// What is multiplied: `x` `[n, columns]`, through a norm if there is one around.
pub(super) fn read(x: &Tensor<2>, around: Around<'_>) -> Option<Floats> {
    let x = Floats::of(x)?;
    match around.norm {
        Some((weight, norm)) => x.normed(weight, norm),
        None => Some(x),
    }
}

/// The products with some matrices, before anything is done with them.
pub(super) struct Outputs<'a> {
    /// `[n, rows]` each
    products: Vec<Vec<f32>>,
    rows: Vec<usize>,
    n: usize,
    dtype: DType,
    then: Then<'a>,
}

impl<'a> Outputs<'a> {
    /// For products of `x` `[n, columns]` with matrices of so many rows each, in the type of `x`. `None` if these are not the
    /// matrices for what is done then.
    pub fn new(x: &Tensor<2>, rows: impl Iterator<Item = usize>, then: Then<'a>) -> Option<Self> {
        let (n, dtype) = (x.dims()[0], x.dtype());
        let rows: Vec<usize> = rows.collect();
        let fits = match (then, &rows[..]) {
            (Then::Nothing, _) | (Then::Add(_), [_]) => true,
            (Then::Gate(_), [gate, up]) => gate == up,
            _ => false,
        };
        if !fits {
            return None;
        }
        let products = rows.iter().map(|rows| vec![0.0; n * rows]).collect();
        Some(Self { products, rows, n, dtype, then })
    }

    /// Each with its matrix.
    pub fn of<M>(&mut self, matrices: Vec<M>) -> Vec<(M, &mut [f32])> {
        matrices.into_iter().zip(self.products.iter_mut().map(Vec::as_mut_slice)).collect()
    }

    /// `[n, rows]` each, or what is made of them.
    pub fn finish(self) -> Option<Vec<Tensor<2>>> {
        let Self { mut products, rows, n, dtype, then } = self;
        let in_place = dtype == DType::F32;
        match then {
            Then::Add(residual) if in_place => {
                cpu::add(Isa::best(), products.first_mut()?, Floats::of(residual)?.values());
            }
            Then::Gate(kind) if in_place => {
                let up = products.pop()?;
                cpu::gate(Isa::best(), kind, products.first_mut()?, &up);
            }
            _ => {}
        }
        let tensors = products.into_iter().zip(rows).map(|(product, rows)| floats(product, [n, rows], dtype));
        let mut tensors: Vec<Tensor<2>> = tensors.collect();
        // In 16 bits each step is rounded.
        match then {
            Then::Add(residual) if !in_place => tensors = vec![residual.clone() + tensors.pop()?],
            Then::Gate(kind) if !in_place => {
                let up = tensors.pop()?;
                tensors = vec![gate(kind, &tensors.pop()?, &up)?];
            }
            _ => {}
        }
        Some(tensors)
    }
}
