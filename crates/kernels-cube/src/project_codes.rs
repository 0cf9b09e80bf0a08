//! Products of vectors with a matrix of 8- or 4-bit codes.

use burn::{
    backend::Wgpu,
    tensor::{DType, Int, Tensor},
};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

use super::{
    Machine, primitive, project, tensor,
    words::{self, Format, Reading},
};
use glass_kernels::codes::{BLOCK, Bits, blocks, words as words_of_row};

/// A matrix `[rows, columns]` as codes and scales.
#[derive(Clone, Copy, Debug)]
pub struct Quantized<'a> {
    /// `[rows, words]`
    pub codes: &'a Tensor<2, Int>,
    /// `[rows, blocks]`
    pub scales: &'a Tensor<2>,
    pub bits: Bits,
    pub columns: usize,
}

pub fn project_quantized(
    machine: Machine,
    x: &Tensor<2>,
    weights: &[Quantized<'_>],
) -> Option<Vec<Tensor<2>>> {
    let [n, columns] = x.dims();
    if n == 0 || n > project::most(machine) || columns == 0 {
        return None;
    }
    let matrices = weights.iter().map(|weight| Coded::of(weight, columns));
    let matrices: Vec<Coded> = matrices.collect::<Option<_>>()?;
    let padded = columns.next_multiple_of(BLOCK);
    let x = match padded - columns {
        0 => primitive(x)?,
        missing => primitive(&x.clone().pad((0, missing, 0, 0), 0.0))?,
    };
    let x = into_contiguous(x);
    let products = matrices.into_iter().map(|matrix| {
        let reading = Reading::of(machine, &x, Format::Codes(matrix.bits), padded)?;
        let product = words::product(machine, x.clone(), matrix.codes, matrix.scales, reading);
        Some(tensor(product))
    });
    products.collect()
}

/// A matrix as it lies on the adapter.
struct Coded {
    codes: CubeTensor,
    scales: CubeTensor,
    bits: usize,
}

impl Coded {
    fn of(weight: &Quantized<'_>, columns: usize) -> Option<Self> {
        let bits = weight.bits.bits();
        let codes = weight.codes.clone().try_into_primitive::<Wgpu>().ok()?;
        let scales = primitive(weight.scales)?;
        let [rows, _] = weight.scales.dims();
        let fits = weight.columns == columns
            && matches!(codes.dtype, DType::I32 | DType::U32)
            && weight.codes.dims() == [rows, words_of_row(columns, weight.bits)]
            && weight.scales.dims() == [rows, blocks(columns)];
        (fits && codes.is_contiguous() && scales.is_contiguous()).then_some(Self {
            codes,
            scales,
            bits,
        })
    }
}
