//! A checkpoint to be saved with its matrices quantized.

use std::{borrow::Cow, collections::BTreeMap, convert::Infallible, mem::take};

use glass_backend::{
    Dtype, WeightError, WeightRoles,
    quant::{QuantFormat, Quantized, ZERO_POINTS_PER_WORD, groups, words, zero_words},
};
use glass_config::LlamaConfig;

use crate::{
    Files, Names, QuantRecipe, RawTensor, TensorSource, TensorSpec, convert_bytes, float,
    quant_recipe::outlier,
    quantize_on_load::quantize,
    quantized::{QuantizedPart, parts, quantized_part},
    zero_points,
};

/// The tensors of a checkpoint, the matrices quantized and everything else as it is.
pub struct QuantizedTensors<'a> {
    files: &'a Files,
    /// Of the matrices that are quantized, by their names in the files.
    formats: BTreeMap<&'a str, (QuantFormat, [usize; 2])>,
    names: Names,
    /// Whether the head is the embedding.
    tied: bool,
    /// Of matrices a part of which was asked for: the others.
    rest: BTreeMap<String, Quantized>,
    /// The tensor whose bytes were looked at last.
    last: Option<String>,
}

impl<'a> QuantizedTensors<'a> {
    /// `roles` are the model's, whose config is `config`. Where the head is the embedding, a second copy of it in the files is
    /// not written.
    pub fn new(files: &'a Files, recipe: QuantRecipe, roles: &WeightRoles, config: &LlamaConfig) -> Self {
        // What each tensor is to the model, by the family's name of it.
        let stored = roles.iter().flat_map(|(name, role, shape)| {
            let places = config.stored(name, shape).into_iter().flatten();
            places.map(move |place| (place.name, (role, roles.layer_of(name))))
        });
        let stored: BTreeMap<_, _> = stored.collect();
        let mut tensors = Self {
            files,
            formats: BTreeMap::new(),
            names: Names::find(files.names(), recipe.is_tied()),
            tied: recipe.is_tied(),
            rest: BTreeMap::new(),
            last: None,
        };
        let mut formats = BTreeMap::new();
        for (name, tensor) in tensors.to_write() {
            let known = stored.get(tensors.names.in_model(name));
            let (Some((role, layer)), Ok(shape)) = (known, tensor.shape.try_into()) else { continue };
            let Some(values) = values_of(&tensor) else { continue };
            let outlier = || Ok::<_, Infallible>(outlier(&values()));
            if let Ok(Some(format)) = recipe.format_of(*role, *layer, outlier) {
                formats.insert(name, (format, shape));
            }
            files.release(name);
        }
        tensors.formats = formats;
        tensors
    }

    /// The matrices that are quantized, by the model's names, and how.
    pub fn matrices(&self) -> impl Iterator<Item = (String, QuantFormat)> {
        self.formats.iter().map(|(name, (format, _))| (self.names.in_model(name).to_owned(), *format))
    }

    /// All tensors but a second copy of a tied head.
    fn to_write(&self) -> impl Iterator<Item = (&'a str, RawTensor<'a>)> {
        let is_copy = |name: &&str| self.tied && self.names.in_model(name) == "lm_head.weight";
        let names = self.files.names().filter(move |name| !is_copy(name));
        names.filter_map(|name| Some((name, self.files.get(name)?)))
    }

    /// What of a matrix was not asked for yet.
    fn rest_of(&mut self, name: &str) -> Result<&mut Quantized, WeightError> {
        if !self.rest.contains_key(name) {
            let tensor = self.files.get(name);
            let values = tensor.as_ref().and_then(values_of).map(|values| values());
            let (Some((format, [_, columns])), Some(values)) = (self.formats.get(name), values) else {
                return Err(self.missing(name));
            };
            let quantized = quantize(&values, *columns, *format, (name, 0))?;
            self.files.release(name);
            self.rest.insert(name.to_owned(), quantized);
        }
        match self.rest.get_mut(name) {
            Some(rest) => Ok(rest),
            None => unreachable!("just made"),
        }
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
            match (self.formats.get(name), parts(name)) {
                (Some((format, [rows, columns])), Some([quants, scales, shape, zero_points])) => {
                    add(quants, I32, vec![*rows, words(*columns, *format)]);
                    add(scales, F16, vec![*rows, groups(*columns)]);
                    add(shape, I64, vec![2]);
                    if zero_words(*columns, *format) > 0 {
                        add(zero_points, I32, vec![rows.div_ceil(ZERO_POINTS_PER_WORD), groups(*columns)]);
                    }
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
        let words = |words: Vec<i32>| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let bytes = match part {
            QuantizedPart::Quants => words(take(&mut self.rest_of(&matrix)?.quants)),
            QuantizedPart::Scales => {
                let scales = take(&mut self.rest_of(&matrix)?.scales);
                scales.iter().flat_map(|x| x.to_le_bytes()).collect()
            }
            QuantizedPart::ZeroPoints => {
                let rest = self.rest_of(&matrix)?;
                let (format, columns) = (rest.format, rest.columns);
                words(zero_points::down_columns(&take(&mut rest.zero_points), columns, format))
            }
            QuantizedPart::Shape => {
                let Some(tensor) = self.files.get(&matrix) else {
                    return Err(self.missing(name));
                };
                let shape = tensor.shape.iter().map(|&n| n as i64);
                shape.flat_map(i64::to_le_bytes).collect()
            }
        };
        Ok(Cow::Owned(bytes))
    }
}

/// A tensor's numbers in float32, when asked for; `None` if they are no floats.
fn values_of<'a>(tensor: &RawTensor<'a>) -> Option<impl Fn() -> Vec<f32> + use<'a>> {
    let (bytes, from) = (tensor.bytes, float(tensor.dtype).ok()?);
    Some(move || {
        let mut values = vec![0.0; bytes.len() / from.bytes()];
        convert_bytes(bytes, from, bytemuck::cast_slice_mut(&mut values), Dtype::F32);
        values
    })
}
