//! Matrices in few bits on flex.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{Int, Tensor},
};

use glass_kernels::{
    self as cpu,
    codes::{self, Bits, Codes},
};

use super::{Floats, floats, primitive};
use crate::Quantized;

pub fn project_quantized(x: &Tensor<2>, weights: &[&Quantized]) -> Option<Vec<Tensor<2>>> {
    let x = Floats::of(x)?;
    let [n, _]: [usize; 2] = x.shape();
    let weights: Vec<Coded> = weights
        .iter()
        .map(|weight| Coded::of(weight))
        .collect::<Option<_>>()?;
    let mut outputs: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; n * w.rows]).collect();
    let mut products = Vec::new();
    for (weight, out) in weights.iter().zip(&mut outputs) {
        products.push((weight.codes()?, out.as_mut_slice()));
    }
    cpu::matmul_t_quantized(x.values(), &mut products);
    let shaped = outputs.into_iter().zip(&weights);
    let shaped = shaped.map(|(out, weight)| x.shaped(out, [n, weight.rows]));
    Some(shaped.collect())
}

pub fn select(matrix: &Quantized, ids: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let rows = matrix.select(ids.clone());
    let coded = Coded::of(&rows)?;
    let Codes {
        bits,
        quants,
        scales,
        columns,
    } = coded.codes()?;
    let mut values = vec![0.0; coded.rows * columns];
    codes::decode(quants, scales, columns, bits, &mut values);
    Some(floats(values, [coded.rows, columns], matrix.dtype))
}

/// Where a matrix in few bits lies.
struct Coded {
    codes: FlexTensor,
    scales: FlexTensor,
    bits: Bits,
    rows: usize,
    columns: usize,
}

impl Coded {
    fn of(matrix: &Quantized) -> Option<Self> {
        let [rows, columns] = matrix.shape();
        Some(Self {
            codes: matrix.codes.clone().try_into_primitive::<Flex>().ok()?,
            scales: primitive(&matrix.scales)?,
            bits: matrix.bits,
            rows,
            columns,
        })
    }

    fn codes(&self) -> Option<Codes<'_>> {
        let (codes, scales) = (self.codes.as_slice()?, self.scales.as_slice()?);
        Some(Codes::new(self.bits, codes, scales, self.columns))
    }
}
