//! A GGUF file as the source of a model's weights.

use std::{collections::BTreeSet, ops::Range};

use burn::tensor::{Bytes, DType, TensorData};
use glass_backend::{
    BlockRows, Dtype, QuantizedRows, WeightError, WeightRole, WeightSource, WeightSpec, quant::BlockFormat,
};
use glass_config::{LlamaConfig, POSITIONS, StoredRows};
use glass_gguf::{GgmlType, Gguf, Mapping, Tensor};

use super::stored_in_gguf;
use crate::{
    StoredFloat,
    floats::{self, FloatTensor, overflow, to_data},
    mapped::mapped,
    names::nearest,
    stored::{gather, is_contiguous},
};

/// Reads weights tensor by tensor, and keeps account of what was read.
pub struct GgufSource<'a> {
    file: &'a Gguf,
    config: &'a LlamaConfig,
    /// Formats in which matrices stay in blocks. Others are read as the numbers that they stand for.
    keep: Vec<BlockFormat>,
    used: BTreeSet<String>,
    overflowed: Vec<(String, usize)>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> GgufSource<'a> {
    /// The weights of the model of this config, where matrices of the formats in `keep` stay in blocks; `progress` is told the
    /// bytes of every tensor as it is read.
    pub fn new(
        file: &'a Gguf,
        config: &'a LlamaConfig,
        keep: Vec<BlockFormat>,
        progress: &'a mut dyn FnMut(u64),
    ) -> Self {
        Self { file, config, keep, used: BTreeSet::new(), overflowed: Vec::new(), progress }
    }

    /// Ends the loading: everything in the file must have been used.
    ///
    /// Returns warnings, one line each.
    ///
    /// # Errors
    /// A tensor that no module asked for.
    pub fn finish(self) -> Result<Vec<String>, WeightError> {
        let is_used = |name: &str| self.used.contains(name) || POSITIONS.contains(&name);
        let unused: Vec<&str> = self.file.tensors().map(|tensor| tensor.name).filter(|name| !is_used(name)).collect();
        if let Some(name) = unused.first() {
            return Err(self.other(
                name,
                match unused.len() {
                    1 => "the config has no place for it".to_owned(),
                    n => format!("the config has no place for it, nor for {} others", n - 1),
                },
            ));
        }
        let overflowed = self.overflowed.iter().map(|(name, count)| overflow(name, *count));
        Ok(self.file.warnings().iter().cloned().chain(overflowed).collect())
    }

    fn origin(&self, name: &str) -> String {
        let file = self.file.get(name).map(|tensor| tensor.file);
        file.unwrap_or(self.file.metadata().origin()).display().to_string()
    }

    fn other(&self, name: &str, reason: String) -> WeightError {
        WeightError::Other { origin: self.origin(name), name: name.to_owned(), reason }
    }

    /// Where the file holds a weight.
    fn way(&self, weight: WeightSpec<'_>) -> Result<Vec<StoredRows>, WeightError> {
        let way = stored_in_gguf(self.config, weight.name, weight.shape);
        way.ok_or_else(|| self.other(weight.name, "GGUF has no place for it in this architecture".to_owned()))
    }

    /// The tensor that a weight's rows lie in.
    fn tensor(&self, piece: &StoredRows) -> Result<Tensor<'a>, WeightError> {
        let Some(tensor) = self.file.get(&piece.name) else {
            let found = nearest(&piece.name, self.file.tensors().map(|tensor| tensor.name));
            return Err(WeightError::Missing { origin: self.origin(&piece.name), name: piece.name.clone(), found });
        };
        if tensor.shape != piece.shape {
            let (found, expected) = (tensor.shape.to_vec(), piece.shape.clone());
            return Err(WeightError::Shape {
                origin: self.origin(&piece.name),
                name: piece.name.clone(),
                found,
                expected,
            });
        }
        Ok(tensor)
    }

    fn place(&self, name: &str) -> Result<(&'a Mapping, usize), WeightError> {
        let place = self.file.place(name).map(|(file, range)| (file, range.start));
        place.ok_or_else(|| self.other(name, "is missing".to_owned()))
    }

    fn floats(&self, piece: &StoredRows) -> Result<FloatTensor<'a>, WeightError> {
        let tensor = self.tensor(piece)?;
        let stored = match tensor.ty {
            GgmlType::F32 => Dtype::F32.into(),
            GgmlType::F16 => Dtype::F16.into(),
            GgmlType::Bf16 => Dtype::BF16.into(),
            GgmlType::F64 => StoredFloat::F64,
            other => {
                let known: Vec<&str> = BlockFormat::ALL.iter().map(|format| format.name()).collect();
                let known = known.join(", ");
                let reason = format!("is stored as {other}, which is not read: only F32, F16, BF16, F64, {known} are");
                return Err(self.other(&piece.name, reason));
            }
        };
        let (file, start) = self.place(&piece.name)?;
        Ok(FloatTensor { file, start, bytes: tensor.bytes, stored })
    }

    /// Rows of a weight in blocks, where they lie if they lie together.
    fn blocks(
        &mut self,
        way: &[StoredRows],
        weight: WeightSpec<'_>,
        rows: Range<usize>,
        format: BlockFormat,
    ) -> Result<BlockRows, WeightError> {
        let columns = weight.row_len();
        let row_bytes = format.row_bytes(columns);
        let shape = [rows.len(), row_bytes];
        let (file, start) = self.place(&way[0].name)?;
        let bytes = match way {
            [piece] if is_contiguous(piece, columns) => {
                let first = start + (piece.start / columns + rows.start) * row_bytes;
                mapped(file, first..first + rows.len() * row_bytes, 1)
            }
            _ => None,
        };
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => {
                let mut gathered = vec![0; rows.len() * row_bytes];
                for piece in way {
                    let tensor = self.tensor(piece)?;
                    // The same rows of a matrix whose columns are a row's bytes.
                    let start = piece.start / columns;
                    let in_rows = StoredRows { start, strides: [piece.strides[0] / columns, 1], ..piece.clone() };
                    gather(&in_rows, rows.clone(), 1, row_bytes, tensor.bytes, &mut gathered);
                }
                Bytes::from_elems(gathered)
            }
        };
        (self.progress)((rows.len() * row_bytes) as u64);
        self.used.extend(way.iter().map(|piece| piece.name.clone()));
        Ok(BlockRows { format, blocks: TensorData::from_bytes(bytes, shape, DType::U8) })
    }

    /// The format of a weight that is in blocks.
    fn format(&self, way: &[StoredRows]) -> Result<Option<BlockFormat>, WeightError> {
        Ok(self.tensor(&way[0])?.ty.block_format())
    }
}

impl WeightSource for GgufSource<'_> {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let way = self.way(weight)?;
        let shape = weight.shape_of(&rows);
        if let Some(format) = self.format(&way)? {
            let blocks = self.blocks(&way, weight, rows, format)?;
            let values = QuantizedRows::Blocks(blocks).dequantize(weight.row_len());
            let bytes = bytemuck::cast_slice(&values);
            let (data, overflowed) = to_data(bytes, Dtype::F32.into(), values.len(), dtype, shape);
            self.count(&way[0].name, overflowed);
            return Ok(data);
        }
        let offset = weight.role == WeightRole::NormOffset;
        // The 1 that is added there is taken off before anything is rounded.
        let read = if offset { Dtype::F32 } else { dtype };
        let mut floats = floats::read(&way, (weight, rows, read), |piece| self.floats(piece))?;
        if offset {
            let values: Vec<f32> = floats.data.iter::<f32>().map(|value| value - 1.0).collect();
            floats.data = TensorData::new(values, shape).convert_dtype(dtype.burn());
        }
        (self.progress)(floats.read);
        self.count(&way[0].name, floats.overflowed);
        self.used.extend(way.into_iter().map(|piece| piece.name));
        Ok(floats.data)
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        let format = self.format(&self.way(weight)?)?;
        Ok(weight.role.is_matrix() && format.is_some_and(|format| self.keep.contains(&format)))
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        let way = self.way(weight)?;
        match self.format(&way)? {
            Some(format) => Ok(QuantizedRows::Blocks(self.blocks(&way, weight, rows, format)?)),
            None => Err(self.other(&way[0].name, "is not quantized".to_owned())),
        }
    }
}

impl GgufSource<'_> {
    /// Notes values that did not fit the wanted type.
    fn count(&mut self, name: &str, overflowed: usize) {
        if overflowed > 0 {
            self.overflowed.push((name.to_owned(), overflowed));
        }
    }
}
