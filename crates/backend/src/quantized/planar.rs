//! Quantized matrices whose quants, scales and zero points are tensors of their own.

use burn::tensor::{DType, Int, Tensor, TensorData};
use glass_kernels::quant::{
    self, E2M1, GROUP_SIZE, QuantFormat, Quantized, QuantizedMatrix, groups, words, zero_words,
};
use half::f16;

use super::{PartsMut, scale_dtype, unpacked};
use crate::{Device, Dtype};

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

impl PlanarRows {
    pub(super) fn matrix(&self, columns: usize) -> QuantizedMatrix<'_> {
        let (quants, scales) = (self.quants.as_slice::<i32>(), self.scales.as_slice::<f16>());
        let zero_points = self.zero_points.as_ref().map_or(Ok(&[][..]), |words| words.as_slice::<i32>());
        let (Ok(quants), Ok(scales), Ok(zero_points)) = (quants, scales, zero_points) else {
            panic!("quants and zero points are i32, and scales are f16")
        };
        QuantizedMatrix::new(self.format, quants, scales, zero_points, columns)
    }

    pub(super) fn dequantize(&self, columns: usize) -> Vec<f32> {
        let matrix = self.matrix(columns);
        let mut values = vec![0.0; matrix.rows() * columns];
        quant::dequantize(matrix, &mut values);
        values
    }
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
    pub(super) fn new(rows: PlanarRows, columns: usize, device: &Device, dtype: Dtype) -> Self {
        Self {
            quants: Tensor::from_data(rows.quants, (device.burn(), DType::I32)),
            zero_points: rows.zero_points.map(|words| Tensor::from_data(words, (device.burn(), DType::I32))),
            scales: Tensor::from_data(rows.scales, (device.burn(), scale_dtype(device))),
            format: rows.format,
            columns,
            dtype: dtype.burn(),
        }
    }

    /// What it consists of.
    pub(super) fn parts_mut(&mut self) -> PartsMut<'_> {
        let words = std::iter::once(&mut self.quants).chain(&mut self.zero_points);
        PartsMut { words: words.collect(), scales: vec![&mut self.scales] }
    }

    /// `[rows, columns]`.
    pub(super) fn shape(&self) -> [usize; 2] {
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
    pub(super) fn dequantize(&self) -> Tensor<2> {
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
