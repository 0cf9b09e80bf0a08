//! Random weights in blocks, as a GGUF file has them.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{
    BlockRows, Dtype, QuantizedRows, WeightError, WeightRole, WeightSource, WeightSpec,
    quant::{BlockFormat, quantize_blocks},
};
use glass_testing::RandomWeights;

/// All matrices in this format, but for those that choose experts or make time steps.
pub struct InBlocks(pub RandomWeights, pub BlockFormat);

impl WeightSource for InBlocks {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        self.0.read(weight, rows, dtype)
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        Ok(weight.role.is_matrix() && !matches!(weight.role, WeightRole::Router | WeightRole::Recurrent(_)))
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        let Self(random, format) = self;
        let (columns, rows_read) = (weight.row_len(), rows.len());
        let values = random.read(weight, rows, Dtype::F32)?;
        let mut blocks = vec![0; rows_read * format.row_bytes(columns)];
        let values = values.as_slice::<f32>().expect("float32");
        quantize_blocks(values, columns, *format, &mut blocks).expect("finite numbers");
        let shape = [rows_read, format.row_bytes(columns)];
        Ok(QuantizedRows::Blocks(BlockRows { format: *format, blocks: TensorData::new(blocks, shape) }))
    }
}
