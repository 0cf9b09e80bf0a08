//! Products on flex, and what is computed around them.

use burn::tensor::{DType, Element as BurnElement, Tensor};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Isa, Matrix, Scratch};
use half::{bf16, f16};

use super::{
    floats::Floats,
    form::Form,
    lent::Lent,
    output::{Output, round},
    quantized,
};
use crate::{Around, Few, Matrices, Then};

/// `x` `[.., columns]` times each matrix `[rows, columns]` -> `[.., rows]` each in this form, or what is made of them
pub fn multiply<const D: usize, const E: usize, C: FromIterator<Tensor<E>>>(
    x: &Tensor<D>,
    matrices: &Matrices<'_>,
    around: Around<'_, D>,
    form: impl Form<E>,
) -> Option<C> {
    let (dtype, then) = (x.dtype(), around.then);
    match matrices {
        Matrices::Floats(weights) => {
            let weights: Few<Lent<'_>> = weights.iter().map(|weight| Lent::of(*weight)).collect::<Option<_>>()?;
            let rows = weights.iter().map(|weight| weight.layout().shape()[0]);
            let mut outputs = Outputs::new(dtype, rows, then, form)?;
            match weights.first()?.dtype() {
                DType::F32 => cpu::matmul_t(read(x, around)?.values(), &mut outputs.of::<f32>(&weights)?),
                DType::F16 => cpu::matmul_t(read(x, around)?.values(), &mut outputs.of::<f16>(&weights)?),
                // Processors that multiply bfloat16 take it as it is.
                DType::BF16 if dtype == DType::BF16 && around.norm.is_none() => {
                    let x = Lent::of(x)?;
                    let whole = (!x.is_contiguous()).then(|| x.to_contiguous());
                    cpu::matmul_t_bf16(whole.as_ref().unwrap_or(&x).as_slice()?, &mut outputs.of(&weights)?);
                }
                DType::BF16 if dtype == DType::BF16 => {
                    let x = read(x, around)?;
                    let mut narrow = Scratch::of_any_values::<bf16>(x.values().len());
                    let narrow = &mut narrow.values_mut()[..x.values().len()];
                    cpu::narrow(Isa::best(), x.values(), narrow);
                    cpu::matmul_t_bf16(narrow, &mut outputs.of(&weights)?);
                }
                DType::BF16 => cpu::matmul_t(read(x, around)?.values(), &mut outputs.of::<bf16>(&weights)?),
                _ => return None,
            }
            outputs.finish(then)
        }
        Matrices::Quantized(weights) => {
            let mut outputs = Outputs::new(dtype, weights.iter().map(|weight| weight.shape()[0]), then, form)?;
            quantized::multiply(read(x, around)?.values(), weights, outputs.values())?;
            outputs.finish(then)
        }
    }
}

/// What is multiplied: `x` `[.., columns]`, through a norm if there is one around.
fn read<'a, const D: usize>(x: &'a Tensor<D>, around: Around<'_, D>) -> Option<Floats<'a>> {
    let x = Floats::of(x)?;
    match around.norm {
        Some((weight, norm)) => x.normed(weight, norm),
        None => Some(x),
    }
}

/// The products with some matrices, before anything is done with them.
struct Outputs {
    each: Few<Output>,
    dtype: DType,
}

impl Outputs {
    /// For products with matrices of so many rows each. `None` if these are not the matrices for what is done then.
    fn new<const D: usize, const E: usize>(
        dtype: DType,
        rows: impl Iterator<Item = usize>,
        then: Then<'_, D>,
        form: impl Form<E>,
    ) -> Option<Self> {
        let rows: Few<usize> = rows.collect();
        let fits = match (then, &rows[..]) {
            (Then::Nothing, _) | (Then::Add(_), [_]) => true,
            (Then::Gate(_), [gate, up]) => gate == up,
            _ => false,
        };
        let output = |rows| {
            let (shape, strides) = form.of(rows);
            Output::with_strides(dtype, shape, strides)
        };
        fits.then(|| Self { each: rows.into_iter().map(output).collect(), dtype })
    }

    fn values(&mut self) -> Few<&mut [f32]> {
        self.each.iter_mut().map(Output::values).collect()
    }

    /// Each with its matrix.
    fn of<'a, T: BurnElement + Pod>(
        &'a mut self,
        weights: &'a [Lent<'_>],
    ) -> Option<Few<(Matrix<'a, T>, &'a mut [f32])>> {
        let matrices = weights.iter().map(|weight| Some(Matrix::new(weight.as_slice()?, weight.layout().shape()[1])));
        matrices.zip(self.values()).map(|(matrix, y)| Some((matrix?, y))).collect()
    }

    /// In 16 bits each step is rounded.
    fn finish<const D: usize, const E: usize, C: FromIterator<Tensor<E>>>(mut self, then: Then<'_, D>) -> Option<C> {
        if !matches!(then, Then::Nothing) {
            let dtype = self.dtype;
            self.values().into_iter().for_each(|values| round(values, dtype));
        }
        match then {
            Then::Nothing => {}
            Then::Add(residual) => {
                cpu::add(Isa::best(), self.each.first_mut()?.values(), Floats::of(residual)?.values());
            }
            Then::Gate(kind) => {
                let mut up = self.each.pop()?;
                cpu::gate(Isa::best(), kind, self.each.first_mut()?.values(), up.values());
                up.discard();
            }
        }
        Some(self.each.into_iter().map(Output::tensor).collect())
    }
}
