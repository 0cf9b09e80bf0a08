//! Quantized matrices on a device, and others whose numbers a device unpacks.

use burn::tensor::{DType, Int, Tensor};
use glass_kernels::quant::Quantized;

use crate::{Device, Dtype, KernelSet, kernel_set::MatrixKind};

mod blocks;
mod halves;
mod panels;
mod planar;

pub(crate) use blocks::BlockStorage;
#[cfg(feature = "wgpu")]
pub(crate) use blocks::Planes;
pub use blocks::{BlockRows, BlockTensor};
pub use halves::HalfTensor;
pub use panels::PanelTensor;
pub use planar::{PlanarRows, PlanarTensor};

/// Rows of a quantized matrix on their way to a device.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one of each matrix, and none is copied in a loop")]
pub enum QuantizedRows {
    Planar(PlanarRows),
    Blocks(BlockRows),
}

impl From<Quantized> for QuantizedRows {
    fn from(matrix: Quantized) -> Self {
        Self::Planar(matrix.into())
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

/// A matrix `[rows, columns]` on a device, of which no tensor has the numbers.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one of each matrix, and none is copied in a loop")]
pub enum QuantizedTensor {
    Planar(PlanarTensor),
    Blocks(BlockTensor),
    Panels(PanelTensor),
    Halves(HalfTensor),
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
            Self::Halves(matrix) => matrix.shape(),
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
            Self::Halves(matrix) => matrix.select(ids).dequantize(),
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
            Self::Halves(matrix) => matrix.dequantize(),
        }
    }

    /// Lays neighbours of one format together in memory.
    pub(crate) fn lay_together(kernels: KernelSet, matrices: &mut [&mut Self], most: u64) {
        for run in matrices.chunk_by_mut(|a, b| a.is_like(b)).filter(|run| run.len() > 1) {
            let mut parts: Vec<PartsMut<'_>> = run.iter_mut().map(|matrix| matrix.parts_mut()).collect();
            let row_bytes = parts[0].row_bytes();
            for part in 0..parts[0].words.len() {
                let part = parts.iter_mut().map(|parts| &mut *parts.words[part]);
                part_together(kernels, part.collect(), &row_bytes, most);
            }
            for part in 0..parts[0].scales.len() {
                let part = parts.iter_mut().map(|parts| &mut *parts.scales[part]);
                part_together(kernels, part.collect(), &row_bytes, most);
            }
        }
    }

    /// Whether both are in one format.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Planar(a), Self::Planar(b)) => a.format == b.format,
            (Self::Blocks(a), Self::Blocks(b)) => a.format == b.format,
            (Self::Halves(a), Self::Halves(b)) => a.dtype == b.dtype,
            _ => false,
        }
    }

    fn parts_mut(&mut self) -> PartsMut<'_> {
        match self {
            Self::Planar(matrix) => matrix.parts_mut(),
            Self::Blocks(matrix) => matrix.parts_mut(),
            Self::Halves(matrix) => PartsMut { words: vec![&mut matrix.words], scales: vec![] },
            Self::Panels(_) => PartsMut::default(),
        }
    }
}

/// The tensors that a matrix consists of, `[rows, ..]` each.
#[derive(Default)]
struct PartsMut<'a> {
    words: Vec<&'a mut Tensor<2, Int>>,
    scales: Vec<&'a mut Tensor<2>>,
}

impl PartsMut<'_> {
    /// Of a row in each of them.
    fn row_bytes(&self) -> Vec<usize> {
        let words = self.words.iter().map(|words| words.dims()[1] * words.dtype().size());
        words.chain(self.scales.iter().map(|scales| scales.dims()[1] * scales.dtype().size())).collect()
    }
}

/// Lays a part of several matrices together.
fn part_together<K: MatrixKind>(kernels: KernelSet, mut part: Vec<&mut Tensor<2, K>>, row_bytes: &[usize], most: u64) {
    let tensors: Vec<_> = part.iter().map(|tensor| (**tensor).clone()).collect();
    let laid = kernels.lay_together(&tensors, row_bytes, most);
    for (tensor, laid) in part.iter_mut().zip(laid.into_iter().flatten()) {
        **tensor = laid;
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
