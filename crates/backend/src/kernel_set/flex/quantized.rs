//! Quantized matrices on flex.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{Int, Tensor},
};
use glass_kernels::{
    self as cpu,
    quant::{self, BlockFormat, BlockMatrix, QuantFormat, QuantizedMatrix},
};

use super::{
    floats, primitive,
    products::{Outputs, read},
};
use crate::{Around, BlockTensor, PanelTensor, PlanarTensor, QuantizedTensor, quantized::BlockStorage};

pub fn matmul_t_quantized(x: &Tensor<2>, weights: &[&PlanarTensor], around: Around<'_>) -> Option<Vec<Tensor<2>>> {
    let weights: Vec<Held> = weights.iter().map(|weight| Held::of(weight)).collect::<Option<_>>()?;
    let mut outputs = Outputs::new(x, weights.iter().map(|weight| weight.rows), around.then)?;
    let matrices = weights.iter().map(Held::matrix).collect::<Option<_>>()?;
    cpu::matmul_t_quantized(read(x, around)?.values(), &mut outputs.of(matrices));
    outputs.finish()
}

pub fn matmul_t_blocks(x: &Tensor<2>, weights: &[&BlockTensor], around: Around<'_>) -> Option<Vec<Tensor<2>>> {
    let weights: Vec<HeldBlocks> = weights.iter().map(|weight| HeldBlocks::of(weight)).collect::<Option<_>>()?;
    let mut outputs = Outputs::new(x, weights.iter().map(|weight| weight.rows), around.then)?;
    let matrices = weights.iter().map(HeldBlocks::matrix).collect::<Option<_>>()?;
    cpu::matmul_t_blocks(read(x, around)?.values(), &mut outputs.of(matrices));
    outputs.finish()
}

pub fn matmul_t_panels(x: &Tensor<2>, weights: &[&PanelTensor], around: Around<'_>) -> Option<Vec<Tensor<2>>> {
    let mut outputs = Outputs::new(x, weights.iter().map(|weight| weight.panels.rows()), around.then)?;
    let matrices = weights.iter().map(|weight| &*weight.panels).collect();
    cpu::matmul_t_panels(read(x, around)?.values(), &mut outputs.of(matrices));
    outputs.finish()
}

pub fn select(matrix: &QuantizedTensor, ids: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let [_, columns] = matrix.shape();
    let mut values = vec![0.0; ids.dims()[0] * columns];
    let shape = [ids.dims()[0], columns];
    let dtype = match matrix {
        QuantizedTensor::Planar(matrix) => {
            let rows = matrix.select(ids.clone());
            quant::dequantize(Held::of(&rows)?.matrix()?, &mut values);
            rows.dtype
        }
        QuantizedTensor::Blocks(matrix) => {
            let rows = matrix.select(ids.clone());
            quant::dequantize_blocks(HeldBlocks::of(&rows)?.matrix()?, &mut values);
            rows.dtype
        }
        QuantizedTensor::Panels(matrix) => return Some(matrix.select(ids)),
        QuantizedTensor::Halves(_) => return None,
    };
    Some(floats(values, shape, dtype))
}

/// A matrix in blocks where it lies.
struct HeldBlocks {
    blocks: FlexTensor,
    format: BlockFormat,
    rows: usize,
    columns: usize,
}

impl HeldBlocks {
    fn of(matrix: &BlockTensor) -> Option<Self> {
        let BlockStorage::Bytes(blocks) = &matrix.storage else { return None };
        let [rows, _] = blocks.dims();
        let blocks = blocks.clone().try_into_primitive::<Flex>().ok()?;
        Some(Self { blocks, format: matrix.format, rows, columns: matrix.columns })
    }

    fn matrix(&self) -> Option<BlockMatrix<'_>> {
        Some(BlockMatrix::new(self.format, self.blocks.as_slice()?, self.columns))
    }
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
    fn of(matrix: &PlanarTensor) -> Option<Self> {
        let (rows, columns) = (matrix.quants.dims()[0], matrix.columns);
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
