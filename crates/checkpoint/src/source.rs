//! A checkpoint as the source of a model's weights.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use burn::tensor::{Bytes, TensorData};
use glass_backend::{Dtype, QuantizedRows, WeightError, WeightSource, WeightSpec};
use glass_config::{LlamaConfig, QuantizationConfig};
use half::vec::HalfBitsVecExt;

use super::{
    Files, Names, StoredFloat, convert_bytes, float,
    idle::is_idle,
    mapped::mapped,
    quantized::{QuantizedMatrix, parts, quantized_part},
};

/// Reads weights tensor by tensor, and keeps account of what was read.
pub struct CheckpointSource<'a> {
    files: &'a Files,
    names: Names,
    used: BTreeSet<String>,
    /// Whether the head is the embedding.
    tied: bool,
    /// Quantized matrices are read as the numbers that they stand for.
    pub dequantize: bool,
    overflowed: Vec<(String, usize)>,
    /// How many tensors were rounded from float64, and to what.
    rounded: Option<(usize, Dtype)>,
    /// Whether matrices in so many bits have zero points, and the first that has them or has not.
    zero_points: BTreeMap<(usize, bool), String>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> CheckpointSource<'a> {
    /// The weights of the model of this config; `progress` is told the bytes of every tensor as it is read.
    pub fn new(files: &'a Files, config: &LlamaConfig, progress: &'a mut dyn FnMut(u64)) -> Self {
        let tied = config.tie_word_embeddings;
        let names = Names::find(files.names(), tied);
        Self {
            files,
            names,
            tied,
            dequantize: false,
            used: BTreeSet::new(),
            overflowed: Vec::new(),
            rounded: None,
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
        for (name, count) in &self.overflowed {
            warnings.push(format!(
                "{count} values of {name} are too large for the chosen dtype and became infinite: use --dtype f32"
            ));
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

    /// The name in the files of what the model calls `name`. Of a quantized matrix, the parts have names and not the whole.
    fn stored(&self, name: &str) -> String {
        let of_quants = || {
            let [quants, ..] = parts(name)?;
            let (matrix, _) = quantized_part(self.names.in_files(&quants)?)?;
            Some(matrix)
        };
        let stored = self.names.in_files(name).map(str::to_owned);
        stored.or_else(of_quants).unwrap_or_else(|| name.to_owned())
    }

    fn origin(&self, name: &str) -> String {
        let file = self.files.get(name).map(|tensor| tensor.file);
        file.unwrap_or(self.files.origin()).display().to_string()
    }

    fn other(&self, name: &str, reason: String) -> WeightError {
        WeightError::Other { origin: self.origin(name), name: name.to_owned(), reason }
    }
}

impl CheckpointSource<'_> {
    fn is_stored_quantized(&self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        let stored = self.stored(weight.name);
        let quants = parts(&stored).and_then(|[quants, ..]| self.files.get(&quants));
        match (quants, self.files.get(&stored)) {
            (Some(_), Some(_)) => Err(self.other(&stored, "is there twice, as numbers and as codes".to_owned())),
            (quants, _) => Ok(quants.is_some()),
        }
    }

    /// The file's own bytes, where the machine can compute with them as they are.
    fn in_place(&self, name: &str, bytes: Range<usize>, stored: StoredFloat, wanted: Dtype) -> Option<Bytes> {
        if stored != wanted.into() || bytes.is_empty() || cfg!(target_endian = "big") {
            return None;
        }
        let (shard, range) = self.files.place(name, bytes)?;
        mapped(shard, range, stored.bytes())
    }
}

impl WeightSource for CheckpointSource<'_> {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        if self.dequantize && weight.role.is_matrix() && self.is_stored_quantized(weight)? {
            let (part, columns) = (weight.shape_of(&rows), weight.row_len());
            return Ok(TensorData::new(self.read_quantized(weight, rows)?.dequantize(columns), part)
                .convert_dtype(dtype.burn()));
        }
        let name = self.stored(weight.name);
        let origin = self.origin(&name);
        let Some(tensor) = self.files.get(&name) else {
            let found = self.names.instead_of(&name);
            let tie =
                if name == "lm_head.weight" { "; if it is the embedding, --set tie_word_embeddings=true" } else { "" };
            let found = found + tie;
            return Err(WeightError::Missing { origin, name, found });
        };
        if tensor.shape != weight.shape {
            return Err(WeightError::Shape {
                origin,
                name,
                found: tensor.shape.to_vec(),
                expected: weight.shape.to_vec(),
            });
        }
        let Ok(stored) = float(tensor.dtype) else {
            return Err(WeightError::Type { origin, name, found: tensor.dtype.to_string() });
        };
        let row = weight.row_len();
        let range = rows.start * row * stored.bytes()..rows.end * row * stored.bytes();
        let bytes = &tensor.bytes[range.clone()];
        (self.progress)(bytes.len() as u64);
        if stored == StoredFloat::F64 && rows.start == 0 {
            self.rounded = Some((self.rounded.map_or(1, |(count, _)| count + 1), dtype));
        }
        let part = weight.shape_of(&rows);
        let data = match self.in_place(&name, range, stored, dtype) {
            Some(bytes) => TensorData::from_bytes(bytes, part, dtype.burn()),
            None => {
                let (data, overflowed) = to_data(bytes, stored, rows.len() * row, dtype, part);
                if overflowed > 0 {
                    self.overflowed.push((name.clone(), overflowed));
                }
                if rows.end == weight.shape[0] {
                    self.files.release(&name);
                }
                data
            }
        };
        self.used.insert(name);
        Ok(data)
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        Ok(!self.dequantize && self.is_stored_quantized(weight)?)
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        let stored = self.stored(weight.name);
        let shape = [weight.shape[0], weight.row_len()];
        let Some(matrix) = QuantizedMatrix::find(self.files, &stored, shape)? else {
            return Err(self.other(&stored, "is missing".to_owned()));
        };
        let (rows, bytes) = matrix.rows(rows)?;
        self.zero_points.entry(matrix.zero_points()).or_insert(stored);
        for name in matrix.names() {
            self.used.insert(name);
        }
        (self.progress)(bytes);
        Ok(rows)
    }
}

/// One conversion, straight into memory that is aligned for what comes out.
fn to_data(bytes: &[u8], from: StoredFloat, len: usize, to: Dtype, shape: Vec<usize>) -> (TensorData, usize) {
    match to {
        Dtype::F32 => {
            let mut values = vec![0f32; len];
            let overflowed = convert_bytes(bytes, from, bytemuck::cast_slice_mut(&mut values), to);
            (TensorData::new(values, shape), overflowed)
        }
        Dtype::F16 | Dtype::BF16 => {
            let mut bits = vec![0u16; len];
            let overflowed = convert_bytes(bytes, from, bytemuck::cast_slice_mut(&mut bits), to);
            let data = match to {
                Dtype::F16 => TensorData::new(bits.reinterpret_into::<half::f16>(), shape),
                _ => TensorData::new(bits.reinterpret_into::<half::bf16>(), shape),
            };
            (data, overflowed)
        }
    }
}
