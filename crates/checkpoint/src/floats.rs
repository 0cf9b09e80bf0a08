//! Weights in floating point: rows of a file's tensors, where they lie or converted.

use std::ops::Range;

use burn::tensor::{Bytes, TensorData};
use glass_backend::{Dtype, WeightError, WeightSpec};
use glass_config::StoredRows;
use glass_gguf::Mapping;
use half::vec::HalfBitsVecExt;

use crate::{
    StoredFloat, convert_bytes,
    mapped::mapped,
    stored::{gather, is_contiguous},
};

/// A tensor in floating point as it lies in its file.
#[derive(Clone, Copy)]
pub(super) struct FloatTensor<'a> {
    pub file: &'a Mapping,
    /// Where in the file it begins.
    pub start: usize,
    pub bytes: &'a [u8],
    pub stored: StoredFloat,
}

/// Rows that were read.
pub(super) struct Floats {
    pub data: TensorData,
    /// Bytes of the file.
    pub read: u64,
    /// How many finite values became infinite.
    pub overflowed: usize,
}

/// Rows `rows` of a weight that lies in the files in this way; `tensor` finds its tensors.
///
/// # Errors
/// Those of `tensor`; parts of the weight have different types.
pub(super) fn read<'a>(
    way: &[StoredRows],
    (weight, rows, dtype): (WeightSpec<'_>, Range<usize>, Dtype),
    tensor: impl Fn(&StoredRows) -> Result<FloatTensor<'a>, WeightError>,
) -> Result<Floats, WeightError> {
    let (row, part) = (weight.row_len(), weight.shape_of(&rows));
    let first = tensor(&way[0])?;
    let width = first.stored.bytes();
    if let [piece] = way
        && is_contiguous(piece, row)
    {
        let start = (piece.start + rows.start * row) * width;
        let range = start..start + rows.len() * row * width;
        let read = range.len() as u64;
        if let Some(bytes) = first.in_place(range.clone(), dtype) {
            return Ok(Floats { data: TensorData::from_bytes(bytes, part, dtype.burn()), read, overflowed: 0 });
        }
        let bytes = &first.bytes[range.clone()];
        let (data, overflowed) = to_data(bytes, first.stored, rows.len() * row, dtype, part);
        first.file.release(first.start + range.start..first.start + range.end);
        return Ok(Floats { data, read, overflowed });
    }
    let mut whole = vec![0; rows.len() * row * width];
    for piece in way {
        let tensor = tensor(piece)?;
        if tensor.stored != first.stored {
            return Err(WeightError::Other {
                origin: tensor.file.path().display().to_string(),
                name: piece.name.clone(),
                reason: format!("is stored in {}, and {} in {}", tensor.stored, way[0].name, first.stored),
            });
        }
        gather(piece, rows.clone(), row, width, tensor.bytes, &mut whole);
        tensor.file.release(tensor.start..tensor.start + tensor.bytes.len());
    }
    let (data, overflowed) = to_data(&whole, first.stored, rows.len() * row, dtype, part);
    Ok(Floats { data, read: whole.len() as u64, overflowed })
}

impl FloatTensor<'_> {
    /// The file's own bytes, where the machine can compute with them as they are.
    fn in_place(&self, bytes: Range<usize>, wanted: Dtype) -> Option<Bytes> {
        if self.stored != wanted.into() || bytes.is_empty() || cfg!(target_endian = "big") {
            return None;
        }
        mapped(self.file, self.start + bytes.start..self.start + bytes.end, self.stored.bytes())
    }
}

/// One conversion, straight into memory that is aligned for what comes out; and how many finite values became infinite.
pub(super) fn to_data(
    bytes: &[u8],
    from: StoredFloat,
    len: usize,
    to: Dtype,
    shape: Vec<usize>,
) -> (TensorData, usize) {
    match to {
        Dtype::F32 => {
            let mut values = vec![0f32; len];
            let overflowed = convert_bytes(bytes, from, bytemuck::cast_slice_mut(&mut values), to);
            (TensorData::new(values, shape), overflowed)
        }
        Dtype::F16 | Dtype::BF16 => {
            let mut bits = vec![0u16; len];
            let overflowed = convert_bytes(bytes, from, bytemuck::cast_slice_mut(&mut bits), to);
            let data = match to {
                Dtype::F16 => TensorData::new(bits.reinterpret_into::<half::f16>(), shape),
                _ => TensorData::new(bits.reinterpret_into::<half::bf16>(), shape),
            };
            (data, overflowed)
        }
    }
}

/// The warning of values that did not fit the wanted type.
pub(super) fn overflow(name: &str, count: usize) -> String {
    format!("{count} values of {name} are too large for the chosen dtype and became infinite: use --dtype f32")
}
