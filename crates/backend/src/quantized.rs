//! Quantized matrices on a device.

use burn::tensor::{DType, Int, Tensor, TensorData};
use glass_kernels::quant::{
    self, E2M1, GROUP_SIZE, QuantFormat, Quantized, QuantizedMatrix, groups, words, zero_words,
};
use half::f16;

use crate::{Device, Dtype, KernelSet, kernel_set::MatrixKind};

mod blocks;
mod panels;

pub(crate) use blocks::BlockStorage;
#[cfg(feature = "wgpu")]
pub(crate) use blocks::Planes;
pub use blocks::{BlockRows, BlockTensor};
pub use panels::PanelTensor;

/// Rows of a quantized matrix on their way to a device.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one of each matrix, and none is copied in a loop")]
pub enum QuantizedRows {
    Planar(PlanarRows),
    Blocks(BlockRows),
}

/// Rows whose quants, scales and zero points are matrices of their own, in the formats of [`QuantFormat`].
#[derive(Clone, Debug)]
pub struct PlanarRows {
    pub format: QuantFormat,
    /// `[rows, words]`, 32-bit integers
    pub quants: TensorData,
    /// `[rows, groups]`, binary16
    pub scales: TensorData,
    /// `[rows, zero_words]`, 32-bit integers; `None` in other formats than 4-bit integers
    pub zero_points: Option<TensorData>,
}

impl From<Quantized> for QuantizedRows {
    fn from(matrix: Quantized) -> Self {
        Self::Planar(matrix.into())
    }
}

impl From<Quantized> for PlanarRows {
    fn from(matrix: Quantized) -> Self {
        let Quantized { format, quants, scales, zero_points, columns } = matrix;
        let rows = scales.len().checked_div(groups(columns)).unwrap_or_default();
        let zeros = zero_words(columns, format);
        Self {
            format,
            quants: TensorData::new(quants, [rows, words(columns, format)]),
            scales: TensorData::new(scales, [rows, groups(columns)]),
            zero_points: (zeros > 0).then(|| TensorData::new(zero_points, [rows, zeros])),
        }
    }
}

impl QuantizedRows {
    /// The numbers that they stand for: `[rows, columns]`, row by row.
    ///
    /// # Panics
    /// If the tensors do not have their types and shapes.
    pub fn dequantize(&self, columns: usize) -> Vec<f32> {
        match self {
            Self::Planar(rows) => rows.dequantize(columns),
            Self::Blocks(rows) => rows.dequantize(columns),
        }
    }
}

impl PlanarRows {
    fn matrix(&self, columns: usize) -> QuantizedMatrix<'_> {
        let (quants, scales) = (self.quants.as_slice::<i32>(), self.scales.as_slice::<f16>());
        let zero_points = self.zero_points.as_ref().map_or(Ok(&[][..]), |words| words.as_slice::<i32>());
        let (Ok(quants), Ok(scales), Ok(zero_points)) = (quants, scales, zero_points) else {
            panic!("quants and zero points are i32, and scales are f16")
        };
        QuantizedMatrix::new(self.format, quants, scales, zero_points, columns)
    }

    fn dequantize(&self, columns: usize) -> Vec<f32> {
        let matrix = self.matrix(columns);
        let mut values = vec![0.0; matrix.rows() * columns];
        quant::dequantize(matrix, &mut values);
        values
    }
}

/// A quantized matrix `[rows, columns]` on a device.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one of each matrix, and none is copied in a loop")]
pub enum QuantizedTensor {
    Planar(PlanarTensor),
    Blocks(BlockTensor),
    Panels(PanelTensor),
}

impl QuantizedTensor {
    pub(crate) fn new(rows: QuantizedRows, columns: usize, device: &Device, dtype: Dtype) -> Self {
        if let Some(panels) = Self::in_panels(&rows, columns, device, dtype) {
            return panels;
        }
        match rows {
            QuantizedRows::Planar(rows) => Self::Planar(PlanarTensor::new(rows, columns, device, dtype)),
            QuantizedRows::Blocks(rows) => Self::of_blocks(rows, columns, device, dtype),
        }
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Planar(matrix) => matrix.shape(),
            Self::Blocks(matrix) => matrix.shape(),
            Self::Panels(matrix) => matrix.shape(),
        }
    }

    /// The rows with these numbers, dequantized.
    ///
    /// `ids` `[n]` -> `[n, columns]`
    pub(crate) fn select(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::Planar(matrix) => matrix.select(ids).dequantize(),
            Self::Blocks(matrix) => matrix.select(ids).dequantize(),
            Self::Panels(matrix) => matrix.select(&ids),
        }
    }

    /// The numbers themselves.
    ///
    /// -> `[rows, columns]`
    pub fn dequantize(&self) -> Tensor<2> {
        match self {
            Self::Planar(matrix) => matrix.dequantize(),
            Self::Blocks(matrix) => matrix.dequantize(),
            Self::Panels(matrix) => matrix.dequantize(),
        }
    }
}

impl QuantizedTensor {
    /// Lays neighbours of one format together in memory: all that each consists of, or nothing.
    pub(crate) fn lay_together(kernels: KernelSet, matrices: &mut [&mut Self], most: u64) {
        let alike = |a: &&mut Self, b: &&mut Self| match (&**a, &**b) {
            (Self::Planar(a), Self::Planar(b)) => a.format == b.format,
            (Self::Blocks(a), Self::Blocks(b)) => a.format == b.format,
            _ => false,
        };
        for run in matrices.chunk_by_mut(alike).filter(|run| run.len() > 1) {
            let planar = run.iter().map(|matrix| match &**matrix {
                Self::Planar(matrix) => Some(matrix),
                Self::Blocks(_) | Self::Panels(_) => None,
            });
            let blocks = run.iter().map(|matrix| match &**matrix {
                Self::Planar(_) | Self::Panels(_) => None,
                Self::Blocks(matrix) => Some(matrix),
            });
            let laid: Option<Vec<Self>> = match planar.collect::<Option<Vec<_>>>() {
                Some(planar) => {
                    let laid = PlanarTensor::laid_together(kernels, &planar, most);
                    laid.map(|laid| laid.into_iter().map(Self::Planar).collect())
                }
                None => {
                    let laid = blocks.collect::<Option<Vec<_>>>();
                    let laid = laid.and_then(|blocks| BlockTensor::laid_together(kernels, &blocks, most));
                    laid.map(|laid| laid.into_iter().map(Self::Blocks).collect())
                }
            };
            for (matrix, laid) in run.iter_mut().zip(laid.into_iter().flatten()) {
                **matrix = laid;
            }
        }
    }
}

/// A part of several matrices, laid together. A part that none of them has is laid already.
fn part_together<M, K: MatrixKind>(
    kernels: KernelSet,
    matrices: &[&M],
    most: u64,
    part: impl Fn(&M) -> Option<&Tensor<2, K>>,
) -> Option<Vec<Option<Tensor<2, K>>>> {
    let tensors: Vec<_> = matrices.iter().filter_map(|matrix| part(matrix).cloned()).collect();
    if tensors.is_empty() {
        return Some(vec![None; matrices.len()]);
    }
    let laid = kernels.lay_together(&tensors, most)?;
    (laid.len() == matrices.len()).then(|| laid.into_iter().map(Some).collect())
}

/// A matrix whose quants, scales and zero points are tensors of their own.
#[derive(Clone, Debug)]
pub struct PlanarTensor {
    /// `[rows, words]`
    pub(crate) quants: Tensor<2, Int>,
    /// `[rows, groups]`
    pub(crate) scales: Tensor<2>,
    /// `[rows, zero_words]`; `None` in other formats than 4-bit integers
    pub(crate) zero_points: Option<Tensor<2, Int>>,
    pub(crate) format: QuantFormat,
    pub(crate) columns: usize,
    /// The type of the dequantized numbers.
    pub(crate) dtype: DType,
}

impl PlanarTensor {
    fn new(rows: PlanarRows, columns: usize, device: &Device, dtype: Dtype) -> Self {
        Self {
            quants: Tensor::from_data(rows.quants, (device.burn(), DType::I32)),
            zero_points: rows.zero_points.map(|words| Tensor::from_data(words, (device.burn(), DType::I32))),
            scales: Tensor::from_data(rows.scales, (device.burn(), scale_dtype(device))),
            format: rows.format,
            columns,
            dtype: dtype.burn(),
        }
    }

    fn laid_together(kernels: KernelSet, matrices: &[&Self], most: u64) -> Option<Vec<Self>> {
        let quants = part_together(kernels, matrices, most, |matrix| Some(&matrix.quants))?;
        let scales = part_together(kernels, matrices, most, |matrix| Some(&matrix.scales))?;
        let zero_points = part_together(kernels, matrices, most, |matrix| matrix.zero_points.as_ref())?;
        let parts = quants.into_iter().zip(scales).zip(zero_points).zip(matrices);
        let laid = parts.map(|(((quants, scales), zero_points), matrix)| {
            Some(Self { quants: quants?, scales: scales?, zero_points, ..(*matrix).clone() })
        });
        laid.collect()
    }

    /// `[rows, columns]`.
    fn shape(&self) -> [usize; 2] {
        [self.quants.dims()[0], self.columns]
    }

    /// The rows with these numbers, still quantized.
    ///
    /// `ids` `[n]`
    pub(crate) fn select(&self, ids: Tensor<1, Int>) -> Self {
        Self {
            quants: self.quants.clone().select(0, ids.clone()),
            scales: self.scales.clone().select(0, ids.clone()),
            zero_points: self.zero_points.clone().map(|words| words.select(0, ids)),
            ..self.clone()
        }
    }

    /// The matrix itself: every quant less the zero point of its group, times its scale.
    ///
    /// -> `[rows, columns]`
    fn dequantize(&self) -> Tensor<2> {
        let [rows, groups] = self.scales.dims();
        let quants = unpacked(&self.quants, self.format.bits()); // [rows, groups * 32]
        let quants = quants.reshape([rows, groups, GROUP_SIZE]); // [rows, groups, 32]
        let numbers = |integers: Tensor<3, Int>| integers.float().cast(DType::F32);
        let values = match (self.format, &self.zero_points) {
            (QuantFormat::Mxfp4, _) => {
                let table = TensorData::from(E2M1.map(f32::from));
                let table = Tensor::<1>::from_data(table, (&self.quants.device(), DType::F32)); // [16]
                table.select(0, quants.flatten(0, 2)).reshape([rows, groups, GROUP_SIZE])
            }
            (_, Some(words)) => {
                let zeros = unpacked(words, 4).narrow(1, 0, groups); // [rows, groups]
                numbers(quants) - numbers(zeros.unsqueeze_dim(2)) // less [rows, groups, 1]
            }
            (format, None) => numbers(quants) - format.offset() as f32,
        }; // [rows, groups, 32]
        let scales = self.scales.clone().cast(DType::F32).unsqueeze_dim(2); // [rows, groups, 1]
        let values = (values * scales).reshape([rows, groups * GROUP_SIZE]); // [rows, groups * 32]
        values.narrow(1, 0, self.columns).cast(self.dtype) // [rows, columns]
    }
}

/// Scales are held in 16 bits where the device computes in them, in 32 elsewhere.
fn scale_dtype(device: &Device) -> DType {
    if device.dtypes().contains(&Dtype::F16) { DType::F16 } else { DType::F32 }
}

/// The numbers of so many bits in words, the first in the lowest bits.
///
/// `words` `[rows, words]` -> `[rows, 32 / bits * words]`
pub(crate) fn unpacked(words: &Tensor<2, Int>, bits: usize) -> Tensor<2, Int> {
    let ([rows, count], per_word) = (words.dims(), 32 / bits);
    let mask = (1 << bits) - 1;
    let lanes: Vec<Tensor<2, Int>> = (0..per_word)
        .map(|i| {
            let shifted = words.clone().bitwise_right_shift_scalar((i * bits) as i32);
            shifted.bitwise_and_scalar(mask) // [rows, words]
        })
        .collect();
    Tensor::stack::<3>(lanes, 2).reshape([rows, count * per_word])
}
