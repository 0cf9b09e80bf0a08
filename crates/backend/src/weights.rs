//! Where a module gets its weights from: a checkpoint, or a random generator before training.

use std::ops::Range;

use burn::{
    module::Param,
    tensor::{Tensor, TensorData},
};

use crate::{Device, Dtype, QuantizedRows, QuantizedTensor, WeightError};

/// A source of named tensors.
pub trait WeightSource {
    /// Rows `rows` (along the first axis) of tensor `name`, converted to `dtype`.
    ///
    /// # Errors
    /// The tensor is missing, or its whole shape is not `shape`, or its type cannot be converted.
    fn read(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
        dtype: Dtype,
    ) -> Result<TensorData, WeightError>;

    /// Whether matrix `name` is quantized.
    ///
    /// # Errors
    /// The matrix is whole neither in one form nor in the other.
    fn is_quantized(&mut self, _name: &str) -> Result<bool, WeightError> {
        Ok(false)
    }

    /// The same as [`read`](Self::read) for a quantized matrix `[rows, columns]`.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn read_quantized(
        &mut self,
        name: &str,
        _shape: [usize; 2],
        _rows: Range<usize>,
    ) -> Result<QuantizedRows, WeightError> {
        Err(WeightError::Other {
            origin: "the source of the weights".to_owned(),
            name: name.to_owned(),
            reason: "it has no codes".to_owned(),
        })
    }
}

impl<S: WeightSource + ?Sized> WeightSource for &mut S {
    fn read(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
        dtype: Dtype,
    ) -> Result<TensorData, WeightError> {
        (**self).read(name, shape, rows, dtype)
    }

    fn is_quantized(&mut self, name: &str) -> Result<bool, WeightError> {
        (**self).is_quantized(name)
    }

    fn read_quantized(
        &mut self,
        name: &str,
        shape: [usize; 2],
        rows: Range<usize>,
    ) -> Result<QuantizedRows, WeightError> {
        (**self).read_quantized(name, shape, rows)
    }
}

/// A source seen from one module: with its path in the model, and the device and type of the weights.
///
/// Paths are Hugging Face's, so that `model.layers.0.self_attn.q_proj.weight` in a file is reached by
/// `.at("model").at("layers.0").at("self_attn").at("q_proj")` and then `"weight"`.
pub struct Weights<'a> {
    source: &'a mut dyn WeightSource,
    path: String,
    device: &'a Device,
    dtype: Dtype,
}

impl<'a> Weights<'a> {
    /// A source seen from the whole model.
    pub fn new(source: &'a mut dyn WeightSource, device: &'a Device, dtype: Dtype) -> Self {
        Self {
            source,
            path: String::new(),
            device,
            dtype,
        }
    }

    /// The same source one step deeper in the model.
    pub fn at(&mut self, name: impl std::fmt::Display) -> Weights<'_> {
        Weights {
            path: self.full_name(name),
            source: self.source,
            device: self.device,
            dtype: self.dtype,
        }
    }

    /// The name in the checkpoint of what is called `name` here.
    pub fn full_name(&self, name: impl std::fmt::Display) -> String {
        match self.path.as_str() {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        }
    }

    /// The device of the weights.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// The type of the weights.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The whole of a tensor `[len]`.
    ///
    /// # Errors
    /// What the source says.
    pub fn vector(&mut self, name: &str, len: usize) -> Result<Param<Tensor<1>>, WeightError> {
        self.read(name, &[len], 0..len)
    }

    /// Rows `rows` of a tensor `[rows, columns]`; [`crate::WeightMatrix`] decides which.
    pub(crate) fn rows(
        &mut self,
        name: &str,
        shape: [usize; 2],
        rows: Range<usize>,
    ) -> Result<Param<Tensor<2>>, WeightError> {
        self.read(name, &shape, rows)
    }

    /// Whether a matrix is quantized: then it is a [`QuantizedTensor`].
    pub(crate) fn is_quantized(&mut self, name: &str) -> Result<bool, WeightError> {
        let name = self.full_name(name);
        self.source.is_quantized(&name)
    }

    /// As [`rows`](Self::rows).
    pub(crate) fn quantized_rows(
        &mut self,
        name: &str,
        shape: [usize; 2],
        rows: Range<usize>,
    ) -> Result<QuantizedTensor, WeightError> {
        let name = self.full_name(name);
        let rows = self.source.read_quantized(&name, shape, rows)?;
        Ok(QuantizedTensor::new(
            rows,
            shape[1],
            self.device,
            self.dtype,
        ))
    }

    fn read<const D: usize>(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
    ) -> Result<Param<Tensor<D>>, WeightError> {
        let name = self.full_name(name);
        let data = self.source.read(&name, shape, rows, self.dtype)?;
        let options = (self.device.burn(), self.dtype.burn());
        Ok(Param::from_tensor(Tensor::from_data(data, options)))
    }
}
