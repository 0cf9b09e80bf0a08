//! Experts in MXFP4, as gpt-oss has them: `NAME_blocks` `[experts, out, in / 32, 16]`, two numbers in a byte with the first
//! in its lower half, and `NAME_scales` `[experts, out, in / 32]`, powers of two with a bias of 127 (OCP Microscaling Formats
//! 1.0).

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{
    PlanarRows, QuantizedRows, WeightError,
    quant::{GROUP_SIZE, QuantFormat},
};
use glass_config::StoredRows;
use half::f16;

use crate::{Files, RawTensor};

pub(super) const BLOCKS: &str = "_blocks";
const SCALES: &str = "_scales";

/// Whether the files hold the tensor `name` so.
pub(super) fn holds(files: &Files, name: &str) -> bool {
    files.get(&format!("{name}{BLOCKS}")).is_some()
}

/// A projection of one expert in its tensor of all experts.
pub(super) struct Mxfp4Matrix<'a> {
    names: [String; 2],
    blocks: RawTensor<'a>,
    scales: RawTensor<'a>,
    columns: usize,
    /// The first row of both tensors, their leading axes taken together, and the distance of the next.
    first: usize,
    step: usize,
}

impl<'a> Mxfp4Matrix<'a> {
    /// `None` if the files do not hold it so. `place` is where it would be in floating point: `[experts, in, out]`.
    ///
    /// # Errors
    /// A tensor is missing or has another type or shape than the config asks for.
    pub fn find(files: &'a Files, place: &StoredRows, columns: usize) -> Result<Option<Self>, WeightError> {
        let names = [BLOCKS, SCALES].map(|suffix| format!("{}{suffix}", place.name));
        let Some(blocks) = files.get(&names[0]) else { return Ok(None) };
        let [experts, input, out] = place.shape[..] else { return Ok(None) };
        let other = |name: &str, reason: String| WeightError::Other {
            origin: blocks.file.display().to_string(),
            name: name.to_owned(),
            reason,
        };
        let Some(scales) = files.get(&names[1]) else {
            return Err(other(&names[0], format!("{} is missing beside it", names[1])));
        };
        let groups = input / GROUP_SIZE;
        for (tensor, name, shape) in [
            (&blocks, &names[0], &[experts, out, groups, GROUP_SIZE / 2][..]),
            (&scales, &names[1], &[experts, out, groups]),
        ] {
            if tensor.dtype != safetensors::Dtype::U8 || tensor.shape != shape || !input.is_multiple_of(GROUP_SIZE) {
                let found = format!("{} {:?}", tensor.dtype, tensor.shape);
                return Err(other(name, format!("is {found}, where the config asks for U8 {shape:?}")));
            }
        }
        let (first, step) = (place.start / (input * out) * out + place.start % out, place.strides[0]);
        Ok(Some(Self { names, blocks, scales, columns, first, step }))
    }

    /// The tensors it is made of.
    pub fn names(self) -> [String; 2] {
        self.names
    }

    /// Some rows, as kernels take them; and the bytes of the file that they take.
    ///
    /// # Errors
    /// A scale beyond those of binary16.
    pub fn rows(&self, rows: Range<usize>) -> Result<(QuantizedRows, u64), WeightError> {
        let groups = self.columns / GROUP_SIZE;
        let bytes = groups * GROUP_SIZE / 2;
        let places = || rows.clone().map(|row| self.first + row * self.step);
        let row_blocks = places().flat_map(|row| self.blocks.bytes[row * bytes..][..bytes].as_chunks().0);
        let quants: Vec<i32> = row_blocks.map(|word| i32::from_le_bytes(*word)).collect();
        let row_scales = places().flat_map(|row| &self.scales.bytes[row * groups..][..groups]);
        let scales = row_scales.map(|&power| self.scale(power)).collect::<Result<Vec<_>, _>>()?;
        let read = (rows.len() * (bytes + groups)) as u64;
        let quants = TensorData::new(quants, [rows.len(), bytes / 4]);
        let scales = TensorData::new(scales, [rows.len(), groups]);
        let rows = PlanarRows { format: QuantFormat::Mxfp4, quants, scales, zero_points: None };
        Ok((QuantizedRows::Planar(rows), read))
    }

    /// Half of 2^(power - 127), for a quant is twice a number. Below the least binary16 number the nearest one stands for
    /// it, 0 or 2^-24: weights of such groups, nearly always zeros, are then off by less than 2^-21.
    fn scale(&self, power: u8) -> Result<f16, WeightError> {
        let exponent = i32::from(power) - 128;
        if exponent > 15 {
            return Err(WeightError::Other {
                origin: self.scales.file.display().to_string(),
                name: self.names[1].clone(),
                reason: format!("has 2^{} for a scale; up to 2^16 are read", exponent + 1),
            });
        }
        Ok(f16::from_f64(2f64.powi(exponent)))
    }
}
