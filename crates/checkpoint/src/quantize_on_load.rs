//! Weights that are quantized on their way into a model.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{
    Dtype, QuantizedRows, WeightError, WeightSource, WeightSpec,
    quant::{self, QuantFormat, groups, words},
};
use half::f16;

use crate::QuantRecipe;

/// The weights of another source, the matrices quantized by a recipe.
pub struct QuantizeOnLoad<S> {
    source: S,
    recipe: QuantRecipe,
    /// Matrices are rounded to what their format can represent, and stay in floating point.
    pub fake_quantize: bool,
}

impl<S: WeightSource> QuantizeOnLoad<S> {
    /// Quantizes what `source` has in floating point; `fake_quantize` is off.
    pub fn new(source: S, recipe: QuantRecipe) -> Self {
        Self { source, recipe, fake_quantize: false }
    }

    /// Rows of a matrix as quants and scales.
    fn quantized(
        &mut self,
        weight: WeightSpec<'_>,
        rows: Range<usize>,
        format: QuantFormat,
    ) -> Result<(Vec<i32>, Vec<f16>), WeightError> {
        let data = self.source.read(weight, rows, Dtype::F32)?;
        let values = data.as_slice::<f32>().map_err(|error| WeightError::Other {
            origin: "the source of the weights".to_owned(),
            name: weight.name.to_owned(),
            reason: format!("{error:?}"),
        })?;
        quantize(values, weight.row_len(), format, weight.name)
    }
}

impl<S: WeightSource> WeightSource for QuantizeOnLoad<S> {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let (true, Some(format)) = (self.fake_quantize, self.recipe.format_of(weight.role)) else {
            return self.source.read(weight, rows, dtype);
        };
        let (shape, columns) = (weight.shape_of(&rows), weight.row_len());
        let (quants, scales) = self.quantized(weight, rows, format)?;
        let mut values = vec![0.0; shape[0] * columns];
        quant::dequantize(&quants, &scales, columns, format, &mut values);
        Ok(TensorData::new(values, shape).convert_dtype(dtype.burn()))
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        let quantized = !self.fake_quantize && self.recipe.format_of(weight.role).is_some();
        Ok(quantized || self.source.is_quantized(weight)?)
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        let format = match self.recipe.format_of(weight.role) {
            Some(format) if !self.source.is_quantized(weight)? => format,
            _ => return self.source.read_quantized(weight, rows),
        };
        let (n, columns) = (rows.len(), weight.row_len());
        let (quants, scales) = self.quantized(weight, rows, format)?;
        Ok(QuantizedRows {
            format,
            quants: TensorData::new(quants, [n, words(columns, format)]),
            scales: TensorData::new(scales, [n, groups(columns)]),
        })
    }
}

/// Quants and scales of whole rows; `name` is for the error.
pub(super) fn quantize(
    values: &[f32],
    columns: usize,
    format: QuantFormat,
    name: &str,
) -> Result<(Vec<i32>, Vec<f16>), WeightError> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let mut quants = vec![0; rows * words(columns, format)];
    let mut scales = vec![f16::ZERO; rows * groups(columns)];
    quant::quantize(values, columns, format, &mut quants, &mut scales).map_err(|error| WeightError::Other {
        origin: "quantizing".to_owned(),
        name: name.to_owned(),
        reason: error.to_string(),
    })?;
    Ok((quants, scales))
}
