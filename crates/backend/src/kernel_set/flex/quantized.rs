//! Quantized matrices on flex.

use burn::tensor::{DType, Int, Tensor};
use glass_kernels::{
    self as cpu,
    quant::{self, BlockFormat, BlockMatrix, Panels, QuantFormat, QuantizedMatrix},
};

use super::{lent::Lent, output::Output};
use crate::{BlockTensor, Few, PanelTensor, PlanarTensor, QuantizedTensor, quantized::BlockStorage};

/// `x` `[n, columns]` times each matrix `[rows, columns]` -> its output `[n, rows]`
pub fn multiply(x: &[f32], weights: &[&QuantizedTensor], outputs: Few<&mut [f32]>) -> Option<()> {
    // Those of one kind take one call.
    let mut panels: Few<(&Panels, &mut [f32])> = Few::new();
    let (mut planar, mut of_planar): (Few<Held<'_>>, Few<&mut [f32]>) = (Few::new(), Few::new());
    let (mut blocks, mut of_blocks): (Few<HeldBlocks<'_>>, Few<&mut [f32]>) = (Few::new(), Few::new());
    for (weight, output) in weights.iter().zip(outputs) {
        match weight {
            QuantizedTensor::Panels(weight) => panels.push((&weight.panels, output)),
            QuantizedTensor::Planar(weight) => {
                planar.push(Held::of(weight)?);
                of_planar.push(output);
            }
            QuantizedTensor::Blocks(weight) => {
                blocks.push(HeldBlocks::of(weight)?);
                of_blocks.push(output);
            }
            QuantizedTensor::Halves(_) => return None,
        }
    }
    if !panels.is_empty() {
        cpu::matmul_t_panels(x, &mut panels);
    }
    if !planar.is_empty() {
        let products = planar.iter().map(Held::matrix).zip(of_planar).map(|(matrix, y)| Some((matrix?, y)));
        cpu::matmul_t_quantized(x, &mut products.collect::<Option<Few<_>>>()?);
    }
    if !blocks.is_empty() {
        let products = blocks.iter().map(HeldBlocks::matrix).zip(of_blocks).map(|(matrix, y)| Some((matrix?, y)));
        cpu::matmul_t_blocks(x, &mut products.collect::<Option<Few<_>>>()?);
    }
    Some(())
}

pub fn select(matrix: &QuantizedTensor, ids: &Tensor<1, Int>) -> Option<Tensor<2>> {
    let shape = [ids.dims()[0], matrix.shape()[1]];
    let out = match matrix {
        QuantizedTensor::Planar(matrix) => {
            let rows = matrix.select(ids.clone());
            let mut out = Output::new(rows.dtype, shape);
            quant::dequantize(Held::of(&rows)?.matrix()?, out.values());
            out
        }
        QuantizedTensor::Blocks(matrix) => {
            let rows = matrix.select(ids.clone());
            let mut out = Output::new(rows.dtype, shape);
            quant::dequantize_blocks(HeldBlocks::of(&rows)?.matrix()?, out.values());
            out
        }
        QuantizedTensor::Panels(matrix) => return select_panels(matrix, ids, shape),
        QuantizedTensor::Halves(_) => return None,
    };
    Some(out.tensor())
}

/// `ids` of any shape -> `shape`, the same and the columns
pub fn select_panels<const D: usize, const E: usize>(
    matrix: &PanelTensor,
    ids: &Tensor<D, Int>,
    shape: [usize; E],
) -> Option<Tensor<E>> {
    let lent = Lent::of(ids)?;
    let mut out = Output::new(matrix.dtype, shape);
    match lent.dtype() {
        DType::I32 => matrix.dequantize_rows(lent.as_slice::<i32>()?.iter().map(|id| *id as usize), out.values()),
        DType::I64 => matrix.dequantize_rows(lent.as_slice::<i64>()?.iter().map(|id| *id as usize), out.values()),
        _ => return None,
    }
    Some(out.tensor())
}

/// A matrix in blocks where it lies.
struct HeldBlocks<'a> {
    blocks: Lent<'a>,
    format: BlockFormat,
    columns: usize,
}

impl<'a> HeldBlocks<'a> {
    fn of(matrix: &'a BlockTensor) -> Option<Self> {
        let BlockStorage::Bytes(blocks) = &matrix.storage else { return None };
        Some(Self { blocks: Lent::of(blocks)?, format: matrix.format, columns: matrix.columns })
    }

    fn matrix(&self) -> Option<BlockMatrix<'_>> {
        Some(BlockMatrix::new(self.format, self.blocks.as_slice()?, self.columns))
    }
}

/// A quantized matrix where it lies.
struct Held<'a> {
    quants: Lent<'a>,
    scales: Lent<'a>,
    zero_points: Option<Lent<'a>>,
    format: QuantFormat,
    columns: usize,
}

impl<'a> Held<'a> {
    fn of(matrix: &'a PlanarTensor) -> Option<Self> {
        Some(Self {
            quants: Lent::of(&matrix.quants)?,
            scales: Lent::of(&matrix.scales)?,
            zero_points: match &matrix.zero_points {
                Some(words) => Some(Lent::of(words)?),
                None => None,
            },
            format: matrix.format,
            columns: matrix.columns,
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
