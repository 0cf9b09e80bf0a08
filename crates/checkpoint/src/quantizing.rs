//! Floating-point weights become codes: on their way into a model, or into another checkpoint.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use burn::tensor::TensorData;
use glass_backend::{
    Dtype, QuantizedRows, WeightError, WeightSource,
    quant::{self, QuantFormat, groups, words},
};
use half::f16;

use crate::{
    Files, RawTensor, Scheme, TensorSource, TensorSpec,
    coded::{CodedPart, coded_part, parts},
    convert_bytes, float,
};

/// Weights of which the matrices come in few bits, whatever their source holds.
pub struct Quantizing<S> {
    source: S,
    scheme: Scheme,
    /// Matrices are only rounded to what their bits can say, and come in floating point.
    pub widened: bool,
}

impl<S: WeightSource> Quantizing<S> {
    pub fn new(source: S, scheme: Scheme) -> Self {
        Self {
            source,
            scheme,
            widened: false,
        }
    }

    /// `[rows, columns]` as codes and scales.
    fn encoded(
        &mut self,
        name: &str,
        shape: [usize; 2],
        rows: Range<usize>,
        bits: QuantFormat,
    ) -> Result<(Vec<i32>, Vec<f16>), WeightError> {
        let data = self.source.read(name, &shape, rows, Dtype::F32)?;
        let values = data.as_slice::<f32>().map_err(|error| WeightError::Other {
            origin: "the source of the weights".to_owned(),
            name: name.to_owned(),
            reason: format!("{error:?}"),
        })?;
        encode(values, shape[1], bits, name)
    }
}

impl<S: WeightSource> WeightSource for Quantizing<S> {
    fn read(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
        dtype: Dtype,
    ) -> Result<TensorData, WeightError> {
        let (true, Some(bits), &[all, columns]) = (self.widened, self.scheme.bits_of(name), shape)
        else {
            return self.source.read(name, shape, rows, dtype);
        };
        let n = rows.len();
        let (codes, scales) = self.encoded(name, [all, columns], rows, bits)?;
        let mut values = vec![0.0; n * columns];
        quant::dequantize(&codes, &scales, columns, bits, &mut values);
        Ok(TensorData::new(values, [n, columns]).convert_dtype(dtype.burn()))
    }

    fn is_quantized(&mut self, name: &str) -> Result<bool, WeightError> {
        let quantized = !self.widened && self.scheme.bits_of(name).is_some();
        Ok(quantized || self.source.is_quantized(name)?)
    }

    fn read_quantized(
        &mut self,
        name: &str,
        shape: [usize; 2],
        rows: Range<usize>,
    ) -> Result<QuantizedRows, WeightError> {
        let bits = match self.scheme.bits_of(name) {
            Some(bits) if !self.source.is_quantized(name)? => bits,
            _ => return self.source.read_quantized(name, shape, rows),
        };
        let (n, columns) = (rows.len(), shape[1]);
        let (codes, scales) = self.encoded(name, shape, rows, bits)?;
        Ok(QuantizedRows {
            format: bits,
            quants: TensorData::new(codes, [n, words(columns, bits)]),
            scales: TensorData::new(scales, [n, groups(columns)]),
        })
    }
}

fn encode(
    values: &[f32],
    columns: usize,
    bits: QuantFormat,
    name: &str,
) -> Result<(Vec<i32>, Vec<f16>), WeightError> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let mut codes = vec![0; rows * words(columns, bits)];
    let mut scales = vec![f16::ZERO; rows * groups(columns)];
    quant::quantize(values, columns, bits, &mut codes, &mut scales).map_err(|error| {
        WeightError::Other {
            origin: "quantizing".to_owned(),
            name: name.to_owned(),
            reason: error.to_string(),
        }
    })?;
    Ok((codes, scales))
}

/// The tensors of a checkpoint, matrices as codes and everything else as it is.
pub struct QuantizedTensors<'a> {
    files: &'a Files,
    scheme: Scheme,
    /// A second copy of a tied head, which is not written.
    without: Option<&'static str>,
    /// Of matrices whose codes were asked for and whose scales were not yet.
    scales: BTreeMap<String, Vec<f16>>,
    /// The tensor whose bytes were looked at last.
    last: Option<String>,
}

impl<'a> QuantizedTensors<'a> {
    /// Where the head is the embedding, a second copy of it in the files is not written.
    pub fn new(files: &'a Files, scheme: Scheme) -> Self {
        Self {
            files,
            scheme,
            without: scheme.is_tied().then_some("lm_head.weight"),
            scales: BTreeMap::new(),
            last: None,
        }
    }

    /// The matrices that are quantized, and how.
    pub fn matrices(&self) -> impl Iterator<Item = (&'a str, QuantFormat)> {
        let names = self.names();
        names.filter_map(|(name, tensor)| Some((name, self.coded(name, &tensor)?.0)))
    }

    fn names(&self) -> impl Iterator<Item = (&'a str, RawTensor<'a>)> + use<'a> {
        let (files, without) = (self.files, self.without);
        let names = files.names().filter(move |name| Some(*name) != without);
        names.filter_map(move |name| Some((name, files.get(name)?)))
    }

    /// QuantFormat and shape of a matrix that is quantized.
    fn coded(&self, name: &str, tensor: &RawTensor) -> Option<(QuantFormat, [usize; 2])> {
        let bits = self.scheme.bits_of(name)?;
        let shape = tensor.shape.try_into().ok()?;
        float(tensor.dtype).ok().map(|_| (bits, shape))
    }

    /// The codes of a matrix; its scales are kept until they are asked for.
    fn encode(&mut self, name: &str, tensor: RawTensor<'a>) -> Result<Vec<i32>, WeightError> {
        let (Some((bits, [_, columns])), Ok(from)) =
            (self.coded(name, &tensor), float(tensor.dtype))
        else {
            return Err(self.missing(name));
        };
        let mut values = vec![0.0; tensor.bytes.len() / from.bytes()];
        convert_bytes(
            tensor.bytes,
            from,
            bytemuck::cast_slice_mut(&mut values),
            Dtype::F32,
        );
        let (codes, scales) = encode(&values, columns, bits, name)?;
        self.scales.insert(name.to_owned(), scales);
        self.files.release(name);
        Ok(codes)
    }

    fn missing(&self, name: &str) -> WeightError {
        WeightError::Missing {
            origin: self.files.origin().display().to_string(),
            name: name.to_owned(),
        }
    }
}

impl TensorSource for QuantizedTensors<'_> {
    fn tensors(&self) -> Vec<TensorSpec> {
        let mut specs = Vec::new();
        for (name, tensor) in self.names() {
            let mut add =
                |name: String, dtype, shape| specs.push(TensorSpec { name, dtype, shape });
            match (self.coded(name, &tensor), parts(name)) {
                (Some((bits, [rows, columns])), Some([codes, scales, shape])) => {
                    add(
                        codes,
                        safetensors::Dtype::I32,
                        vec![rows, words(columns, bits)],
                    );
                    add(scales, safetensors::Dtype::F16, vec![rows, groups(columns)]);
                    add(shape, safetensors::Dtype::I64, vec![2]);
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
        let Some((matrix, part)) = coded_part(name) else {
            return Err(self.missing(name));
        };
        let Some(tensor) = self.files.get(&matrix) else {
            return Err(self.missing(name));
        };
        match part {
            CodedPart::Codes => {
                let codes = self.encode(&matrix, tensor)?;
                Ok(Cow::Owned(
                    codes.iter().flat_map(|word| word.to_le_bytes()).collect(),
                ))
            }
            CodedPart::Scales => {
                if !self.scales.contains_key(&matrix) {
                    self.encode(&matrix, tensor)?;
                }
                let scales = self.scales.remove(&matrix).unwrap_or_default();
                Ok(Cow::Owned(
                    scales
                        .iter()
                        .flat_map(|scale| scale.to_le_bytes())
                        .collect(),
                ))
            }
            CodedPart::Shape => {
                let shape = tensor.shape.iter();
                Ok(Cow::Owned(
                    shape.flat_map(|n| (*n as i64).to_le_bytes()).collect(),
                ))
            }
        }
    }
}
