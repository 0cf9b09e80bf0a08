//! A checkpoint as the source of a model's weights.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use burn::tensor::TensorData;
use glass_backend::{Dtype, QuantizedRows, WeightError, WeightSource, WeightSpec};
use glass_config::{LlamaConfig, QuantizationConfig, StoredRows};

use super::{
    Files, Names, StoredFloat, float,
    floats::{self, FloatTensor, overflow},
    idle::is_idle,
    mxfp4::{self, Mxfp4Matrix},
    quantized::{QuantizedMatrix, parts},
    stored::way,
};

/// Reads weights tensor by tensor, and keeps account of what was read.
pub struct CheckpointSource<'a> {
    files: &'a Files,
    /// Whose family names the files' tensors.
    config: &'a LlamaConfig,
    names: Names,
    used: BTreeSet<String>,
    /// Whether the head is the embedding.
    tied: bool,
    /// Quantized matrices are read as the numbers that they stand for.
    pub dequantize: bool,
    overflowed: Vec<(String, usize)>,
    /// How many tensors were rounded from float64, and to what.
    rounded: Option<(usize, Dtype)>,
    /// How many quantized matrices have scales that were rounded.
    rounded_scales: usize,
    /// Whether matrices in so many bits have zero points, and the first that has them or has not.
    zero_points: BTreeMap<(usize, bool), String>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> CheckpointSource<'a> {
    /// The weights of the model of this config; `progress` is told the bytes of every tensor as it is read.
    pub fn new(files: &'a Files, config: &'a LlamaConfig, progress: &'a mut dyn FnMut(u64)) -> Self {
        let tied = config.tie_word_embeddings;
        let names = Names::find(files.names(), tied);
        Self {
            files,
            config,
            names,
            tied,
            dequantize: false,
            used: BTreeSet::new(),
            overflowed: Vec::new(),
            rounded: None,
            rounded_scales: 0,
            zero_points: BTreeMap::new(),
            progress,
        }
    }

    /// Ends the loading: everything in the files must have been used, or be known to carry nothing.
    ///
    /// Returns warnings, one line each.
    ///
    /// # Errors
    /// A tensor that no module asked for.
    pub fn finish(self) -> Result<Vec<String>, WeightError> {
        let mut warnings = self.files.warnings().to_vec();
        let unused = self.files.names().filter(|name| !self.used.contains(*name));
        let (idle, unexpected): (Vec<&str>, Vec<&str>) = unused.partition(|name| self.is_idle(name));
        if let Some(name) = unexpected.first() {
            return Err(self.other(
                name,
                match unexpected.len() {
                    1 => "the config has no place for it".to_owned(),
                    n => format!("the config has no place for it, nor for {} others", n - 1),
                },
            ));
        }
        // A second copy of a tied head: `own_head` has seen that it is one.
        let idle: Vec<&str> = idle.into_iter().filter(|name| !self.is_head(name)).collect();
        if let Some(name) = idle.first() {
            warnings.push(format!(
                "{}: {}: the model computes the same without",
                self.origin(name),
                match idle.len() {
                    1 => format!("tensor {name} is not used"),
                    n => format!("{n} tensors such as {name} are not used"),
                }
            ));
        }
        if let Some((count, dtype)) = self.rounded {
            let tensors = if count == 1 { "tensor is" } else { "tensors are" };
            warnings.push(format!("{count} {tensors} stored as F64, and rounded to {dtype}"));
        }
        if self.rounded_scales > 0 {
            let matrices = if self.rounded_scales == 1 { "matrix are" } else { "matrices are" };
            let count = self.rounded_scales;
            warnings.push(format!("scales of {count} {matrices} stored as F32, and rounded to F16"));
        }
        for (name, count) in &self.overflowed {
            warnings.push(overflow(name, *count));
        }
        Ok(warnings)
    }

    /// The config says which bits come with zero points; a matrix that has none where it says so would be read wrongly.
    ///
    /// # Errors
    /// A matrix that is not as any entry of the config for its bits.
    pub fn check_zero_points(&self, config: Option<&QuantizationConfig>) -> Result<(), WeightError> {
        for ((bits, has), name) in &self.zero_points {
            let mut groups = config.iter().flat_map(|config| &config.groups).filter(|group| group.num_bits == *bits);
            let first = groups.next();
            if first.is_some_and(|group| group.symmetric == *has) && groups.all(|group| group.symmetric == *has) {
                let (is, says) = if *has { ("zero points", "true") } else { ("no zero points", "false") };
                return Err(self.other(
                    name,
                    format!("has {is}, but the config says symmetric = {says} of {bits} bits; fetch both again"),
                ));
            }
        }
        Ok(())
    }

    fn is_idle(&self, name: &str) -> bool {
        self.is_head(name) || self.files.get(name).is_some_and(|tensor| is_idle(self.names.in_model(name), &tensor))
    }

    fn is_head(&self, name: &str) -> bool {
        self.tied && self.names.in_model(name).starts_with("lm_head.weight")
    }

    fn origin(&self, name: &str) -> String {
        let file = self.files.get(name).map(|tensor| tensor.file);
        file.unwrap_or(self.files.origin()).display().to_string()
    }

    /// Notes values that did not fit the wanted type.
    fn count(&mut self, name: &str, overflowed: usize) {
        if overflowed > 0 {
            self.overflowed.push((name.to_owned(), overflowed));
        }
    }

    fn other(&self, name: &str, reason: String) -> WeightError {
        WeightError::Other { origin: self.origin(name), name: name.to_owned(), reason }
    }
}

impl CheckpointSource<'_> {
    /// Where the files hold a weight.
    fn way(&self, weight: WeightSpec<'_>) -> Vec<StoredRows> {
        way(self.files, &self.names, self.config, weight)
    }

    /// The tensor in floating point that a weight's rows lie in.
    fn tensor(&self, piece: &StoredRows) -> Result<FloatTensor<'_>, WeightError> {
        let (origin, name) = (self.origin(&piece.name), piece.name.clone());
        let found = self.files.get(&name).zip(self.files.place(&name, 0..0));
        let Some((tensor, (file, place))) = found else {
            let found = self.names.instead_of(&name);
            let tie =
                if name == "lm_head.weight" { "; if it is the embedding, --set tie_word_embeddings=true" } else { "" };
            let found = found + tie;
            return Err(WeightError::Missing { origin, name, found });
        };
        if tensor.shape != piece.shape {
            let (found, expected) = (tensor.shape.to_vec(), piece.shape.clone());
            return Err(WeightError::Shape { origin, name, found, expected });
        }
        match float(tensor.dtype) {
            Ok(stored) => Ok(FloatTensor { file, start: place.start, bytes: tensor.bytes, stored }),
            Err(_) => Err(WeightError::Type { origin, name, found: tensor.dtype.to_string() }),
        }
    }

    fn is_stored_quantized(&self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        let stored = &self.way(weight)[0].name;
        let quants = parts(stored).and_then(|[quants, ..]| self.files.get(&quants));
        let is_quantized = quants.is_some() || mxfp4::holds(self.files, stored);
        match (is_quantized, self.files.get(stored)) {
            (true, Some(_)) => Err(self.other(stored, "is there twice, as numbers and as codes".to_owned())),
            (is_quantized, _) => Ok(is_quantized),
        }
    }
}

impl WeightSource for CheckpointSource<'_> {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        if self.dequantize && weight.role.is_matrix() && self.is_stored_quantized(weight)? {
            let part = weight.shape_of(&rows);
            let values = self.read_quantized(weight, rows)?.dequantize(weight.row_len());
            return Ok(TensorData::new(values, part).convert_dtype(dtype.burn()));
        }
        let way = self.way(weight);
        let first = self.tensor(&way[0])?.stored;
        if first == StoredFloat::F64 && rows.start == 0 {
            self.rounded = Some((self.rounded.map_or(1, |(count, _)| count + 1), dtype));
        }
        let floats = floats::read(&way, (weight, rows, dtype), |piece| self.tensor(piece))?;
        (self.progress)(floats.read);
        self.count(&way[0].name, floats.overflowed);
        self.used.extend(way.into_iter().map(|piece| piece.name));
        Ok(floats.data)
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        Ok(!self.dequantize && self.is_stored_quantized(weight)?)
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        let piece = self.way(weight).swap_remove(0);
        let (files, columns) = (self.files, weight.row_len());
        let (read, bytes, names) = if let Some(matrix) = Mxfp4Matrix::find(files, &piece, columns)? {
            let (read, bytes) = matrix.rows(rows)?;
            (read, bytes, matrix.names().to_vec())
        } else {
            let shape = [piece.shape[0], columns];
            let Some(matrix) = QuantizedMatrix::find(files, &piece.name, shape)? else {
                return Err(self.other(&piece.name, "is missing".to_owned()));
            };
            self.zero_points.entry(matrix.zero_points()).or_insert_with(|| piece.name.clone());
            self.rounded_scales += usize::from(rows.start == 0 && matrix.rounds_scales());
            let first = piece.start / columns;
            let (read, bytes) = matrix.rows(first + rows.start..first + rows.end)?;
            (read, bytes, matrix.names().to_vec())
        };
        self.used.extend(names);
        (self.progress)(bytes);
        Ok(read)
    }
}
