//! Where a module gets its weights from: a checkpoint, or a random generator before training.

use std::{collections::BTreeMap, ops::Range};

use burn::{
    module::Param,
    tensor::{Tensor, TensorData},
};

use crate::{Device, Dtype, HalfTensor, QuantizedRows, QuantizedTensor, WeightError, WeightRole};

/// A weight as a module asks for it.
#[derive(Clone, Copy, Debug)]
pub struct WeightSpec<'a> {
    /// The name in a checkpoint.
    pub name: &'a str,
    /// Of the whole tensor.
    pub shape: &'a [usize],
    pub role: WeightRole,
    /// `None`: it is no layer's.
    pub layer: Option<usize>,
}

impl WeightSpec<'_> {
    /// The shape of these rows (along the first axis) of it. A single number, of shape `[]`, is one row.
    pub fn shape_of(&self, rows: &Range<usize>) -> Vec<usize> {
        std::iter::once(rows.len()).chain(self.shape.iter().skip(1).copied()).collect()
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Values of one row.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// A source of named tensors.
pub trait WeightSource {
    /// Rows `rows` (along the first axis) of a tensor, converted to `dtype`.
    ///
    /// # Errors
    /// The tensor is missing, or its whole shape is another, or its type cannot be converted.
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError>;

    /// Whether a matrix is quantized.
    ///
    /// # Errors
    /// The matrix is whole neither in one form nor in the other.
    fn is_quantized(&mut self, _weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        Ok(false)
    }

    /// The same as [`read`](Self::read) for a quantized matrix `[rows, columns]`.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn read_quantized(&mut self, weight: WeightSpec<'_>, _rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        Err(WeightError::Other {
            origin: "the source of the weights".to_owned(),
            name: weight.name.to_owned(),
            reason: "it has no quantized values".to_owned(),
        })
    }
}

impl<S: WeightSource + ?Sized> WeightSource for &mut S {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        (**self).read(weight, rows, dtype)
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        (**self).is_quantized(weight)
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        (**self).read_quantized(weight, rows)
    }
}

/// The roles of a model's weights, by name: a source without numbers, which notes what the modules ask for. What is loaded
/// from it has tensors without rows.
#[derive(Clone, Debug, Default)]
pub struct WeightRoles(BTreeMap<String, KnownWeight>);

/// What a module asked for.
#[derive(Clone, Debug)]
struct KnownWeight {
    role: WeightRole,
    layer: Option<usize>,
    shape: Vec<usize>,
}

impl WeightRoles {
    /// The role of the weight of this name; `None`: no module asks for it.
    pub fn get(&self, name: &str) -> Option<WeightRole> {
        self.0.get(name).map(|known| known.role)
    }

    /// The layer that the weight of this name belongs to.
    pub fn layer_of(&self, name: &str) -> Option<usize> {
        self.0.get(name).and_then(|known| known.layer)
    }

    /// Every weight: its name, role and shape.
    pub fn iter(&self) -> impl Iterator<Item = (&str, WeightRole, &[usize])> {
        self.0.iter().map(|(name, known)| (name.as_str(), known.role, known.shape.as_slice()))
    }
}

impl WeightSource for WeightRoles {
    fn read(&mut self, weight: WeightSpec<'_>, _rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let WeightSpec { name, shape, role, layer } = weight;
        self.0.insert(name.to_owned(), KnownWeight { role, layer, shape: shape.to_vec() });
        let none = TensorData::new(Vec::<f32>::new(), weight.shape_of(&(0..0)));
        Ok(none.convert_dtype(dtype.burn()))
    }
}

/// A source seen from one module: with its path in the model, and the devices and type of the weights.
///
/// Paths are Hugging Face's, so that `model.layers.0.self_attn.q_proj.weight` in a file is reached by
/// `.at("model").at("layers.0").at("self_attn").at("q_proj")` and then `"weight"`.
pub struct Weights<'a> {
    source: &'a mut dyn WeightSource,
    path: String,
    device: &'a Device,
    /// Of each layer; those beyond are on `device`.
    layers: &'a [Device],
    /// The layer that the module at hand is a part of.
    layer: Option<usize>,
    dtype: Dtype,
    /// The type of matrices, where the device does not compute in it.
    packed: Option<Dtype>,
}

impl<'a> Weights<'a> {
    /// A source seen from the whole model. Where the device keeps `dtype` and computes in another ([`Device::computes`]), matrices
    /// are in the one, and everything else is in the other.
    pub fn new(source: &'a mut dyn WeightSource, device: &'a Device, dtype: Dtype) -> Self {
        let computed = device.computes(dtype);
        let packed = (computed != dtype).then_some(dtype);
        Self { source, path: String::new(), device, layers: &[], layer: None, dtype: computed, packed }
    }

    /// Layer `n` on `devices[n]`: its weights, what it computes and what it keeps. Layers beyond, and all that is no layer,
    /// stay on the device they have.
    pub fn with_layer_devices(self, devices: &'a [Device]) -> Self {
        Self { layers: devices, ..self }
    }

    /// The same source at the layer `n` of the module at hand, on the layer's device.
    pub fn layer(&mut self, n: usize) -> Weights<'_> {
        let device = self.layers.get(n).unwrap_or(self.device);
        Weights { device, layer: Some(n), ..self.at(format_args!("layers.{n}")) }
    }

    /// The same source one step deeper in the model.
    pub fn at(&mut self, name: impl std::fmt::Display) -> Weights<'_> {
        Weights {
            path: self.full_name(name),
            source: self.source,
            device: self.device,
            layers: self.layers,
            layer: self.layer,
            dtype: self.dtype,
            packed: self.packed,
        }
    }

    /// The same, for tensors that are held in float32, whatever the type of the others.
    pub fn in_f32(&mut self) -> Weights<'_> {
        let path = self.path.clone();
        Weights { path, source: self.source, dtype: Dtype::F32, packed: None, ..*self }
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
    pub fn vector(&mut self, name: &str, len: usize, role: WeightRole) -> Result<Param<Tensor<1>>, WeightError> {
        self.read(name, &[len], role, 0..len)
    }

    /// The whole of a tensor.
    ///
    /// # Errors
    /// What the source says.
    pub fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        role: WeightRole,
    ) -> Result<Param<Tensor<D>>, WeightError> {
        self.read(name, &shape, role, 0..shape[0])
    }

    /// A tensor of the shape `[]`, as `[1]`.
    ///
    /// # Errors
    /// What the source says.
    pub fn scalar(&mut self, name: &str, role: WeightRole) -> Result<Param<Tensor<1>>, WeightError> {
        self.read(name, &[], role, 0..1)
    }

    /// Rows `rows` of a tensor `[rows, columns]`; [`crate::WeightMatrix`] decides which.
    pub(crate) fn rows(
        &mut self,
        name: &str,
        shape: [usize; 2],
        role: WeightRole,
        rows: Range<usize>,
    ) -> Result<Param<Tensor<2>>, WeightError> {
        self.read(name, &shape, role, rows)
    }

    /// Whether a matrix is quantized: then it is a [`QuantizedTensor`].
    pub(crate) fn is_quantized(
        &mut self,
        name: &str,
        shape: [usize; 2],
        role: WeightRole,
    ) -> Result<bool, WeightError> {
        let name = &self.full_name(name);
        let shape = &shape;
        self.source.is_quantized(WeightSpec { name, shape, role, layer: self.layer })
    }

    /// As [`rows`](Self::rows).
    pub(crate) fn quantized_rows(
        &mut self,
        name: &str,
        shape: [usize; 2],
        role: WeightRole,
        rows: Range<usize>,
    ) -> Result<QuantizedTensor, WeightError> {
        let (name, columns) = (&self.full_name(name), shape[1]);
        let shape = &shape;
        let weight = WeightSpec { name, shape, role, layer: self.layer };
        let rows = self.source.read_quantized(weight, rows)?;
        let (device, dtype) = (self.device, self.dtype);
        Ok(QuantizedTensor::new(rows, columns, device, dtype))
    }

    /// The type of matrices that are packed, where they are.
    pub(crate) fn packed(&self) -> Option<Dtype> {
        self.packed.filter(|dtype| self.device.kernel_set().multiplies_packed(*dtype))
    }

    /// As [`rows`](Self::rows), packed in words.
    pub(crate) fn packed_rows(
        &mut self,
        name: &str,
        shape: [usize; 2],
        role: WeightRole,
        rows: Range<usize>,
        dtype: Dtype,
    ) -> Result<QuantizedTensor, WeightError> {
        let name = &self.full_name(name);
        let numbers = self.source.read(WeightSpec { name, shape: &shape, role, layer: self.layer }, rows, dtype)?;
        Ok(QuantizedTensor::Halves(HalfTensor::new(numbers, shape[1], dtype, self.device)))
    }

    fn read<const D: usize>(
        &mut self,
        name: &str,
        shape: &[usize],
        role: WeightRole,
        rows: Range<usize>,
    ) -> Result<Param<Tensor<D>>, WeightError> {
        let name = &self.full_name(name);
        let weight = WeightSpec { name, shape, role, layer: self.layer };
        let data = self.source.read(weight, rows, self.dtype)?;
        let options = (self.device.burn(), self.dtype.burn());
        Ok(Param::from_tensor(Tensor::from_data(data, options)))
    }
}
