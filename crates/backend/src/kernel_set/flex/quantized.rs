//! Quantized matrices on flex.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{Int, Tensor},
};
use glass_kernels::{
    self as cpu,
    quant::{self, QuantFormat, QuantizedMatrix},
};

use super::{Floats, floats, primitive};
use crate::QuantizedTensor;

pub fn matmul_t_quantized(x: &Tensor<2>, weights: &[&QuantizedTensor]) -> Option<Vec<Tensor<2>>> {
    let x = Floats::of(x)?;
    let [n, _]: [usize; 2] = x.shape();
    let weights: Vec<Held> = weights.iter().map(|weight| Held::of(weight)).collect::<Option<_>>()?;
    let mut outputs: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; n * w.rows]).collect();
    let mut products = Vec::new();
    for (weight, out) in weights.iter().zip(&mut outputs) {
        products.push((weight.matrix()?, out.as_mut_slice()));
    }
    cpu::matmul_t_quantized(x.values(), &mut products);
    let shaped = outputs.into_iter().zip(&weights);
    let shaped = shaped.map(|(out, weight)| x.shaped(out, [n, weight.rows]));
    Some(shaped.collect())
}

pub fn select(matrix: &QuantizedTensor, ids: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let held = Held::of(&matrix.select(ids.clone()))?;
    let mut values = vec![0.0; held.rows * held.columns];
    quant::dequantize(held.matrix()?, &mut values);
    Some(floats(values, [held.rows, held.columns], matrix.dtype))
}

/// A quantized matrix where it lies.
struct Held {
    quants: FlexTensor,
    scales: FlexTensor,
    zero_points: Option<FlexTensor>,
    format: QuantFormat,
    rows: usize,
    columns: usize,
}

impl Held {
    fn of(matrix: &QuantizedTensor) -> Option<Self> {
        let [rows, columns] = matrix.shape();
        Some(Self {
            quants: matrix.quants.clone().try_into_primitive::<Flex>().ok()?,
            zero_points: match &matrix.zero_points {
                Some(words) => Some(words.clone().try_into_primitive::<Flex>().ok()?),
                None => None,
            },
            scales: primitive(&matrix.scales)?,
            format: matrix.format,
            rows,
            columns,
        })
    }

    fn matrix(&self) -> Option<QuantizedMatrix<'_>> {
        let (quants, scales) = (self.quants.as_slice()?, self.scales.as_slice()?);
        let zero_points = match &self.zero_points {
            Some(words) => words.as_slice()?,
            None => &[],
        };
        Some(QuantizedMatrix::new(self.format, quants, scales, zero_points, self.columns))
    }
}
