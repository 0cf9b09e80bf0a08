//! A checkpoint to be saved with its matrices quantized.

use std::{borrow::Cow, collections::BTreeMap};

use glass_backend::{
    Dtype, WeightError, WeightRole, WeightRoles,
    quant::{QuantFormat, groups, words},
};
use glass_config::LlamaConfig;
use half::f16;

use crate::{
    Files, Names, QuantRecipe, RawTensor, TensorSource, TensorSpec, convert_bytes, float,
    quantize_on_load::quantize,
    quantized::{QuantizedPart, parts, quantized_part},
};

/// The tensors of a checkpoint, the matrices quantized and everything else as it is.
pub struct QuantizedTensors<'a> {
    files: &'a Files,
    recipe: QuantRecipe,
    /// What each tensor is to the model, by the family's name of it.
    roles: BTreeMap<String, WeightRole>,
    names: Names,
    /// Of matrices whose quants were asked for and whose scales were not yet.
    scales: BTreeMap<String, Vec<f16>>,
    /// The tensor whose bytes were looked at last.
    last: Option<String>,
}

impl<'a> QuantizedTensors<'a> {
    /// `roles` are the model's, whose config is `config`. Where the head is the embedding, a second copy of it in the files is not written.
    pub fn new(files: &'a Files, recipe: QuantRecipe, roles: &WeightRoles, config: &LlamaConfig) -> Self {
        let stored = roles.iter().flat_map(|(name, role, shape)| {
            let places = config.stored(name, shape).into_iter().flatten();
            places.map(move |place| (place.name, role))
        });
        Self {
            files,
            recipe,
            roles: stored.collect(),
            names: Names::find(files.names(), recipe.is_tied()),
            scales: BTreeMap::new(),
            last: None,
        }
    }

    /// The matrices that are quantized, and how.
    pub fn matrices(&self) -> impl Iterator<Item = (&'a str, QuantFormat)> {
        let tensors = self.to_write();
        tensors.filter_map(|(name, tensor)| Some((name, self.format_of(name, &tensor)?.0)))
    }

    /// All tensors but a second copy of a tied head.
    fn to_write(&self) -> impl Iterator<Item = (&'a str, RawTensor<'a>)> {
        let is_copy = |name: &&str| self.recipe.is_tied() && self.names.in_model(name) == "lm_head.weight";
        let names = self.files.names().filter(move |name| !is_copy(name));
        names.filter_map(|name| Some((name, self.files.get(name)?)))
    }

    /// Format and shape of a matrix that is quantized.
    fn format_of(&self, name: &str, tensor: &RawTensor) -> Option<(QuantFormat, [usize; 2])> {
        let role = self.roles.get(self.names.in_model(name))?;
        let format = self.recipe.format_of(*role)?;
        let shape = tensor.shape.try_into().ok()?;
        float(tensor.dtype).ok().map(|_| (format, shape))
    }

    /// The quants of a matrix; its scales are kept until they are asked for.
    fn quantize(&mut self, name: &str, tensor: RawTensor<'a>) -> Result<Vec<i32>, WeightError> {
        let (Some((format, [_, columns])), Ok(from)) = (self.format_of(name, &tensor), float(tensor.dtype)) else {
            return Err(self.missing(name));
        };
        let mut values = vec![0.0; tensor.bytes.len() / from.bytes()];
        let target = bytemuck::cast_slice_mut(&mut values);
        convert_bytes(tensor.bytes, from, target, Dtype::F32);
        let (quants, scales) = quantize(&values, columns, format, name)?;
        self.scales.insert(name.to_owned(), scales);
        self.files.release(name);
        Ok(quants)
    }

    fn missing(&self, name: &str) -> WeightError {
        let origin = self.files.origin().display().to_string();
        WeightError::Missing { origin, name: name.to_owned(), found: self.names.instead_of(name) }
    }
}

impl TensorSource for QuantizedTensors<'_> {
    fn tensors(&self) -> Vec<TensorSpec> {
        use safetensors::Dtype::{F16, I32, I64};

        let mut specs = Vec::new();
        for (name, tensor) in self.to_write() {
            let mut add = |name: String, dtype, shape| specs.push(TensorSpec { name, dtype, shape });
            match (self.format_of(name, &tensor), parts(name)) {
                (Some((format, [rows, columns])), Some([quants, scales, shape])) => {
                    add(quants, I32, vec![rows, words(columns, format)]);
                    add(scales, F16, vec![rows, groups(columns)]);
                    add(shape, I64, vec![2]);
                }
                _ => add(name.to_owned(), tensor.dtype, tensor.shape.to_vec()),
            }
        }
        specs
    }

    fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError> {
        if let Some(last) = self.last.replace(name.to_owned()) {
            self.files.release(&last);
        }
        if let Some(tensor) = self.files.get(name) {
            return Ok(Cow::Borrowed(tensor.bytes));
        }
        let Some((matrix, part)) = quantized_part(name) else {
            return Err(self.missing(name));
        };
        let Some(tensor) = self.files.get(&matrix) else {
            return Err(self.missing(name));
        };
        let bytes = match part {
            QuantizedPart::Quants => {
                let quants = self.quantize(&matrix, tensor)?;
                quants.iter().flat_map(|word| word.to_le_bytes()).collect()
            }
            QuantizedPart::Scales => {
                if !self.scales.contains_key(&matrix) {
                    self.quantize(&matrix, tensor)?;
                }
                let scales = self.scales.remove(&matrix).unwrap_or_default();
                scales.iter().flat_map(|x| x.to_le_bytes()).collect()
            }
            QuantizedPart::Shape => {
                let shape = tensor.shape.iter().map(|&n| n as i64);
                shape.flat_map(i64::to_le_bytes).collect()
            }
        };
        Ok(Cow::Owned(bytes))
    }
}
