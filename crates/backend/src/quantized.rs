//! Quantized matrices on a device.

use burn::tensor::{DType, Int, Tensor, TensorData};
use glass_kernels::quant::{self, E2M1, GROUP_SIZE, QuantFormat};
use half::f16;

use crate::{Device, Dtype};

/// Rows of a quantized matrix, in the format of [`crate::quant`], on their way to a device.
#[derive(Clone, Debug)]
pub struct QuantizedRows {
    pub format: QuantFormat,
    /// `[rows, words]`, 32-bit integers
    pub quants: TensorData,
    /// `[rows, groups]`, binary16
    pub scales: TensorData,
}

impl QuantizedRows {
    /// The numbers that they stand for: `[rows, columns]`, row by row.
    ///
    /// # Panics
    /// If the two tensors do not have their types and shapes.
    pub fn dequantize(&self, columns: usize) -> Vec<f32> {
        let (quants, scales) = (self.quants.as_slice::<i32>(), self.scales.as_slice::<f16>());
        let (Ok(quants), Ok(scales)) = (quants, scales) else { panic!("quants are i32, and scales are f16") };
        let rows = quants.len().checked_div(quant::words(columns, self.format)).unwrap_or(0);
        let mut values = vec![0.0; rows * columns];
        quant::dequantize(quants, scales, columns, self.format, &mut values);
        values
    }
}

/// A quantized matrix `[rows, columns]`.
#[derive(Clone, Debug)]
pub struct QuantizedTensor {
    /// `[rows, words]`
    pub(crate) quants: Tensor<2, Int>,
    /// `[rows, groups]`
    pub(crate) scales: Tensor<2>,
    pub(crate) format: QuantFormat,
    pub(crate) columns: usize,
    /// The type of the dequantized numbers.
    pub(crate) dtype: DType,
}

impl QuantizedTensor {
    /// Scales are held in 16 bits where the device computes in them, in 32 elsewhere.
    pub(crate) fn new(rows: QuantizedRows, columns: usize, device: &Device, dtype: Dtype) -> Self {
        let scale = if device.dtypes().contains(&Dtype::F16) { DType::F16 } else { DType::F32 };
        Self {
            quants: Tensor::from_data(rows.quants, (device.burn(), DType::I32)),
            scales: Tensor::from_data(rows.scales, (device.burn(), scale)),
            format: rows.format,
            columns,
            dtype: dtype.burn(),
        }
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.quants.dims()[0], self.columns]
    }

    /// The rows with these numbers, still quantized.
    ///
    /// `ids` `[n]`
    pub(crate) fn select(&self, ids: Tensor<1, Int>) -> Self {
        Self {
            quants: self.quants.clone().select(0, ids.clone()),
            scales: self.scales.clone().select(0, ids),
            ..self.clone()
        }
    }

    /// The matrix itself: every quant times the scale of its group.
    ///
    /// -> `[rows, columns]`
    pub fn dequantize(&self) -> Tensor<2> {
        let [rows, groups] = self.scales.dims();
        let per_word = self.format.per_word();
        let mask = (1 << self.format.bits()) - 1;
        let lanes: Vec<Tensor<2, Int>> = (0..per_word)
            .map(|i| {
                let shift = (i * self.format.bits()) as i32;
                let shifted = self.quants.clone().bitwise_right_shift_scalar(shift);
                shifted.bitwise_and_scalar(mask) // [rows, words]
            })
            .collect();
        let quants = Tensor::stack::<3>(lanes, 2).reshape([rows, groups, GROUP_SIZE]); // [rows, groups, 32]
        let values = match self.format {
            QuantFormat::Mxfp4 => {
                let table = TensorData::from(E2M1.map(f32::from));
                let table = Tensor::<1>::from_data(table, (&self.quants.device(), DType::F32)); // [16]
                table.select(0, quants.flatten(0, 2)).reshape([rows, groups, GROUP_SIZE])
            }
            format => quants.float().cast(DType::F32) - format.offset() as f32,
        }; // [rows, groups, 32]
        let scales = self.scales.clone().cast(DType::F32).unsqueeze_dim(2); // [rows, groups, 1]
        let values = (values * scales).reshape([rows, groups * GROUP_SIZE]); // [rows, groups * 32]
        values.narrow(1, 0, self.columns).cast(self.dtype) // [rows, columns]
    }
}
