//! Weights that are quantized on their way into a model.

use std::{collections::BTreeMap, ops::Range};

use burn::tensor::TensorData;
use glass_backend::{
    Dtype, QuantizedRows, WeightError, WeightSource, WeightSpec,
    quant::{self, QuantFormat, Quantized},
};

use crate::{QuantRecipe, quant_recipe::outlier};

/// Numbers that are read and quantized together: 4 MiB of them.
const PIECE: usize = 1 << 20;

/// The weights of another source, the matrices quantized by a recipe.
pub struct QuantizeOnLoad<S> {
    source: S,
    recipe: QuantRecipe,
    /// Of matrices that were looked at.
    formats: BTreeMap<String, QuantFormat>,
    /// Matrices are rounded to what their format can represent, and stay in floating point.
    pub fake_quantize: bool,
}

impl<S: WeightSource> QuantizeOnLoad<S> {
    /// Quantizes what `source` has in floating point; `fake_quantize` is off.
    pub fn new(source: S, recipe: QuantRecipe) -> Self {
        Self { source, recipe, formats: BTreeMap::new(), fake_quantize: false }
    }

    /// Rows of a matrix that the recipe quantizes: a few at a time, so that numbers in float32 stay in the processor's caches.
    fn quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<Quantized, WeightError> {
        let columns = weight.row_len();
        let mut whole = None;
        let format = match self.formats.get(weight.name) {
            Some(format) => *format,
            None => {
                let source = &mut self.source;
                let outlier = || {
                    let data = source.read(weight, 0..weight.rows(), Dtype::F32)?;
                    let outlier = outlier(floats(&data, weight.name)?);
                    whole = Some(data);
                    Ok::<_, WeightError>(outlier)
                };
                let format = self.recipe.format_of(weight.role, weight.layer, outlier)?;
                let format = format.unwrap_or_else(|| unreachable!("the recipe quantizes it"));
                self.formats.insert(weight.name.to_owned(), format);
                format
            }
        };
        if let Some(data) = whole {
            let values = &floats(&data, weight.name)?[rows.start * columns..rows.end * columns];
            return quantize(values, columns, format, (weight.name, 0));
        }
        let mut quantized = Quantized::with_room(rows.len(), columns, format);
        let some = (PIECE / columns.max(1)).max(1);
        for start in rows.clone().step_by(some) {
            let data = self.source.read(weight, start..rows.end.min(start + some), Dtype::F32)?;
            let before = (start - rows.start) * columns;
            quantized.append(quantize(floats(&data, weight.name)?, columns, format, (weight.name, before))?);
        }
        Ok(quantized)
    }
}

impl<S: WeightSource> WeightSource for QuantizeOnLoad<S> {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        if !self.fake_quantize || !self.recipe.quantizes(weight.role) {
            return self.source.read(weight, rows, dtype);
        }
        let shape = weight.shape_of(&rows);
        let mut values = vec![0.0; rows.len() * weight.row_len()];
        let quantized = self.quantized(weight, rows)?;
        quant::dequantize(quantized.view(), &mut values);
        Ok(TensorData::new(values, shape).convert_dtype(dtype.burn()))
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        let quantized = !self.fake_quantize && self.recipe.quantizes(weight.role);
        Ok(quantized || self.source.is_quantized(weight)?)
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        if !self.recipe.quantizes(weight.role) || self.source.is_quantized(weight)? {
            return self.source.read_quantized(weight, rows);
        }
        self.quantized(weight, rows).map(QuantizedRows::from)
    }
}

fn floats<'a>(data: &'a TensorData, name: &str) -> Result<&'a [f32], WeightError> {
    data.as_slice::<f32>().map_err(|error| WeightError::Other {
        origin: "the source of the weights".to_owned(),
        name: name.to_owned(),
        reason: format!("{error:?}"),
    })
}

/// Whole rows, quantized; the name, and how many numbers are before them, are for the error.
pub(super) fn quantize(
    values: &[f32],
    columns: usize,
    format: QuantFormat,
    (name, before): (&str, usize),
) -> Result<Quantized, WeightError> {
    quant::quantize(values, columns, format).map_err(|error| WeightError::Other {
        origin: "quantizing".to_owned(),
        name: name.to_owned(),
        reason: error.behind(before).to_string(),
    })
}
