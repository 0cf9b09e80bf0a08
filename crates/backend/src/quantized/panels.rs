//! Quantized matrices in the order in which this machine multiplies them.

use std::sync::Arc;

use burn::tensor::{DType, Device as BurnDevice, Int, Tensor, TensorData};
use glass_kernels::quant::Panels;

use super::{QuantizedRows, QuantizedTensor};
use crate::{Device, Dtype};

/// A matrix in strips of rows, in the memory of the CPU.
#[derive(Clone, Debug)]
pub struct PanelTensor {
    pub(crate) panels: Arc<Panels>,
    device: BurnDevice,
    /// The type of the dequantized numbers.
    pub(crate) dtype: DType,
}

impl QuantizedRows {
    /// `None` where no kernel multiplies such.
    fn panels(&self, columns: usize, device: &Device) -> Option<Panels> {
        if !device.kernel_set().reads_blocks() {
            return None;
        }
        match self {
            Self::Planar(rows) => Panels::of(rows.matrix(columns)),
            Self::Blocks(rows) => Panels::of_blocks(rows.matrix(columns)),
        }
    }
}

impl QuantizedTensor {
    /// `None` where no kernel multiplies such.
    pub(super) fn in_panels(rows: &QuantizedRows, columns: usize, device: &Device, dtype: Dtype) -> Option<Self> {
        let panels = Arc::new(rows.panels(columns, device)?);
        Some(Self::Panels(PanelTensor { panels, device: device.burn().clone(), dtype: dtype.burn() }))
    }
}

impl PanelTensor {
    /// `[rows, columns]`.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.panels.rows(), self.panels.columns()]
    }

    /// The rows with these numbers, dequantized.
    ///
    /// `ids` `[n]` -> `[n, columns]`
    pub(crate) fn select(&self, ids: &Tensor<1, Int>) -> Tensor<2> {
        let columns = self.panels.columns();
        let mut values = vec![0.0; ids.dims()[0] * columns];
        self.dequantize_rows(ids.to_data().iter::<i64>().map(|id| id as usize), &mut values);
        self.tensor(values)
    }

    /// The rows with these numbers -> `out` `[n, columns]`
    pub(crate) fn dequantize_rows(&self, rows: impl Iterator<Item = usize>, out: &mut [f32]) {
        for (row, out) in rows.zip(out.chunks_exact_mut(self.panels.columns())) {
            self.panels.dequantize(row..row + 1, out);
        }
    }

    /// -> `[rows, columns]`
    pub(super) fn dequantize(&self) -> Tensor<2> {
        let [rows, columns] = self.shape();
        let mut values = vec![0.0; rows * columns];
        self.panels.dequantize(0..rows, &mut values);
        self.tensor(values)
    }

    /// Some rows.
    fn tensor(&self, values: Vec<f32>) -> Tensor<2> {
        let shape = [values.len() / self.panels.columns(), self.panels.columns()];
        Tensor::from_data(TensorData::new(values, shape), (&self.device, self.dtype))
    }
}
