//! A model in memory as something that can be saved: the way back of
//! [`CheckpointSource`](crate::CheckpointSource).

use std::borrow::Cow;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};
use glass_backend::{Dtype, WeightError};

use super::{TensorSource, TensorSpec, convert_bytes, stored};

/// The parameters of a model, under the names that Hugging Face gives them.
pub struct Parameters {
    tensors: Vec<Parameter>,
    dtype: Dtype,
}

struct Parameter {
    name: String,
    shape: Vec<usize>,
    /// Row-major, cut between rows.
    parts: Vec<Tensor<1>>,
}

impl Parameters {
    /// None yet; all are to be stored in `dtype`.
    pub fn new(dtype: Dtype) -> Self {
        Self { tensors: Vec::new(), dtype }
    }

    /// Adds those of `model`, each name behind `prefix` (`""`: no prefix).
    pub fn add(&mut self, prefix: &str, model: &impl Module) {
        let path = match prefix {
            "" => vec![],
            prefix => vec![prefix.to_owned()],
        };
        let tensors = &mut self.tensors;
        model.visit(&mut Collect { path, tensors });
    }

    /// Numbers in all.
    pub fn elements(&self) -> usize {
        let elements = |tensor: &Parameter| tensor.shape.iter().product::<usize>();
        self.tensors.iter().map(elements).sum()
    }
}

/// The name in a checkpoint of the parameter at this path of modules. They are the same, except that a matrix
/// ([`WeightMatrix`](glass_backend::WeightMatrix)) may be held in several tensors, and is stored as one; and that a module
/// of several kinds says which it is, in the camel case of Rust.
pub fn parameter_name(path: &[String]) -> String {
    let path = match path {
        [matrix @ .., parts, _number] if parts == "parts" => matrix,
        path => path,
    };
    let is_kind = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
    let fields: Vec<&str> = path.iter().map(String::as_str).filter(|name| !is_kind(name)).collect();
    fields.join(".")
}

struct Collect<'a> {
    path: Vec<String>,
    tensors: &'a mut Vec<Parameter>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = parameter_name(&self.path);
        let value = param.val().without_autodiff();
        let shape = value.dims();
        let part = value.flatten::<1>(0, D - 1); // [rows * columns]
        match self.tensors.last_mut().filter(|last| last.name == name) {
            Some(last) => {
                last.shape[0] += shape[0];
                last.parts.push(part);
            }
            None => self.tensors.push(Parameter { name, shape: shape.to_vec(), parts: vec![part] }),
        }
    }
}

impl TensorSource for Parameters {
    fn tensors(&self) -> Vec<TensorSpec> {
        let specs = self.tensors.iter().map(|tensor| TensorSpec {
            name: tensor.name.clone(),
            dtype: stored(self.dtype),
            shape: tensor.shape.clone(),
        });
        specs.collect()
    }

    fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError> {
        let failed =
            |reason: String| WeightError::Other { origin: "the model in memory".into(), name: name.to_owned(), reason };
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name);
        let tensor = tensor.ok_or_else(|| failed("there is none of that name".into()))?;
        let mut bytes = Vec::new();
        for part in &tensor.parts {
            let data = part.clone().try_into_data();
            let data = data.map_err(|error| failed(format!("cannot be read back: {error}")))?;
            let from = match data.dtype() {
                burn::tensor::DType::F32 => Dtype::F32,
                burn::tensor::DType::F16 => Dtype::F16,
                burn::tensor::DType::BF16 => Dtype::BF16,
                other => return Err(failed(format!("is held in {other:?}"))),
            };
            let source = data.as_bytes();
            let start = bytes.len();
            bytes.resize(start + source.len() / from.bytes() * self.dtype.bytes(), 0);
            convert_bytes(source, from, &mut bytes[start..], self.dtype);
        }
        Ok(Cow::Owned(bytes))
    }
}
