//! The weights of a source as tensors to be saved.

use std::{borrow::Cow, collections::BTreeMap};

use glass_backend::{Dtype, WeightError, WeightRole, WeightRoles, WeightSource, WeightSpec};

use crate::{TensorSource, TensorSpec, stored};

/// A model's weights, whatever their source, under the names by which modules ask for them. Matrices in blocks are the numbers
/// that they stand for.
pub struct WeightTensors<'a> {
    source: &'a mut dyn WeightSource,
    specs: Vec<TensorSpec>,
    weights: BTreeMap<String, (WeightRole, Option<usize>, Dtype)>,
}

impl<'a> WeightTensors<'a> {
    /// All in `dtype`; with `exact`, vectors that it would round are in float32.
    ///
    /// # Errors
    /// Those of the source, of a vector.
    pub fn new(
        source: &'a mut dyn WeightSource,
        roles: &WeightRoles,
        (dtype, exact): (Dtype, bool),
    ) -> Result<Self, WeightError> {
        let mut tensors = Self { source, specs: Vec::new(), weights: BTreeMap::new() };
        for (name, role, shape) in roles.iter() {
            let layer = roles.layer_of(name);
            let weight = WeightSpec { name, shape, role, layer };
            let own = match exact && !role.is_matrix() && tensors.is_rounded(weight, dtype)? {
                true => Dtype::F32,
                false => dtype,
            };
            tensors.specs.push(TensorSpec { name: name.to_owned(), dtype: stored(own), shape: shape.to_vec() });
            tensors.weights.insert(name.to_owned(), (role, layer, own));
        }
        Ok(tensors)
    }

    /// Whether a value of the weight is none of `dtype`.
    fn is_rounded(&mut self, weight: WeightSpec<'_>, dtype: Dtype) -> Result<bool, WeightError> {
        let exact = self.source.read(weight, 0..weight.rows(), Dtype::F32)?;
        let rounded = exact.clone().convert_dtype(dtype.burn());
        let same = exact.iter::<f32>().zip(rounded.iter::<f32>()).all(|(exact, rounded)| exact == rounded);
        Ok(!same)
    }
}

impl TensorSource for WeightTensors<'_> {
    fn tensors(&self) -> Vec<TensorSpec> {
        self.specs.clone()
    }

    fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError> {
        let spec = self.specs.iter().find(|spec| spec.name == name);
        let (Some(spec), Some(&(role, layer, dtype))) = (spec, self.weights.get(name)) else {
            let origin = "the weights to be saved".to_owned();
            return Err(WeightError::Missing { origin, name: name.to_owned(), found: "no module has it".to_owned() });
        };
        let weight = WeightSpec { name, shape: &spec.shape, role, layer };
        let data = self.source.read(weight, 0..weight.rows(), dtype)?;
        let bytes = match dtype {
            Dtype::F32 => data.iter::<f32>().flat_map(f32::to_le_bytes).collect(),
            Dtype::F16 => data.iter::<half::f16>().flat_map(half::f16::to_le_bytes).collect(),
            Dtype::BF16 => data.iter::<half::bf16>().flat_map(half::bf16::to_le_bytes).collect(),
        };
        Ok(Cow::Owned(bytes))
    }
}
