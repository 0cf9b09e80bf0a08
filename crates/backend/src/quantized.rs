//! A matrix whose numbers are held in 4 or 8 bits.

use burn::tensor::{DType, Int, Tensor, TensorData};

use glass_kernels::codes::{BLOCK, Bits};

use crate::{Device, Dtype};

/// Rows of a matrix in the format of [`crate::codes`], on their way to a device.
#[derive(Clone, Debug)]
pub struct CodedRows {
    pub bits: Bits,
    /// `[rows, words]`, 32-bit integers
    pub codes: TensorData,
    /// `[rows, blocks]`, binary16
    pub scales: TensorData,
}

/// A matrix `[rows, columns]` as codes and scales.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// `[rows, words]`
    pub(crate) codes: Tensor<2, Int>,
    /// `[rows, blocks]`
    pub(crate) scales: Tensor<2>,
    pub(crate) bits: Bits,
    pub(crate) columns: usize,
    /// Of the numbers that come out.
    pub(crate) dtype: DType,
}

impl Quantized {
    /// Scales are held in 16 bits where the device computes in them, and in 32 elsewhere.
    pub(crate) fn new(rows: CodedRows, columns: usize, device: &Device, dtype: Dtype) -> Self {
        let scale = match device.dtypes().contains(&Dtype::F16) {
            true => DType::F16,
            false => DType::F32,
        };
        Self {
            codes: Tensor::from_data(rows.codes, (device.burn(), DType::I32)),
            scales: Tensor::from_data(rows.scales, (device.burn(), scale)),
            bits: rows.bits,
            columns,
            dtype: dtype.burn(),
        }
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.codes.dims()[0], self.columns]
    }

    /// As the kernels of an adapter take it.
    #[cfg(feature = "wgpu")]
    pub(crate) fn on_adapter(&self) -> glass_kernels_cube::Quantized<'_> {
        glass_kernels_cube::Quantized {
            codes: &self.codes,
            scales: &self.scales,
            bits: self.bits,
            columns: self.columns,
        }
    }

    /// The rows with these numbers, as they are.
    ///
    /// `ids` `[n]`
    pub(crate) fn select(&self, ids: Tensor<1, Int>) -> Self {
        Self {
            codes: self.codes.clone().select(0, ids.clone()),
            scales: self.scales.clone().select(0, ids),
            ..self.clone()
        }
    }

    /// The matrix itself: every code less its offset, times the scale of its block.
    ///
    /// -> `[rows, columns]`
    pub fn dequantize(&self) -> Tensor<2> {
        let [rows, blocks] = self.scales.dims();
        let per_word = self.bits.per_word();
        let mask = (1 << self.bits.bits()) - 1;
        let lanes: Vec<Tensor<2, Int>> = (0..per_word)
            .map(|i| {
                let shift = (i * self.bits.bits()) as i32;
                let shifted = self.codes.clone().bitwise_right_shift_scalar(shift);
                shifted.bitwise_and_scalar(mask) // [rows, words]
            })
            .collect();
        let codes = Tensor::stack::<3>(lanes, 2).reshape([rows, blocks, BLOCK]); // [rows, blocks, 32]
        let values = codes.float().cast(DType::F32) - self.bits.offset() as f32;
        let scales = self.scales.clone().cast(DType::F32).unsqueeze_dim(2); // [rows, blocks, 1]
        let values = (values * scales).reshape([rows, blocks * BLOCK]); // [rows, blocks * 32]
        values.narrow(1, 0, self.columns).cast(self.dtype) // [rows, columns]
    }
}
