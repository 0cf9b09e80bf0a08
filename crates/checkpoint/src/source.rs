//! A checkpoint as the source of a model's weights.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use burn::tensor::{Bytes, TensorData};
use glass_backend::{Dtype, QuantizedRows, WeightError, WeightSource, WeightSpec};
use glass_config::QuantizationConfig;
use half::vec::HalfBitsVecExt;

use super::{
    Files, convert_bytes, float,
    mapped::mapped,
    quantized::{QuantizedMatrix, parts},
};

/// Reads weights tensor by tensor, and keeps account of what was read.
pub struct CheckpointSource<'a> {
    files: &'a Files,
    used: BTreeSet<String>,
    prefix: &'static str,
    overflowed: Vec<(String, usize)>,
    /// Whether matrices in so many bits have zero points, and the first that has them or has not.
    zero_points: BTreeMap<(usize, bool), String>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> CheckpointSource<'a> {
    /// `progress` is told the bytes of every tensor as it is read.
    pub fn new(files: &'a Files, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self {
            files,
            used: BTreeSet::new(),
            prefix: files.prefix(),
            overflowed: Vec::new(),
            zero_points: BTreeMap::new(),
            progress,
        }
    }

    /// Ends the loading: everything in the files must have been used, or be known to carry nothing.
    ///
    /// Returns warnings, one line each.
    ///
    /// # Errors
    /// A tensor that no module asked for; a head of its own in a model whose head is tied.
    pub fn finish(self, tied: bool) -> Result<Vec<String>, WeightError> {
        let mut warnings = self.files.warnings().to_vec();
        let unexpected: Vec<&str> = self
            .files
            .names()
            .filter(|name| !self.used.contains(*name))
            // Old checkpoints carry the rotary frequencies, which follow from the config.
            .filter(|name| !name.ends_with(".rotary_emb.inv_freq"))
            .collect();
        for name in &unexpected {
            if tied && *name == "lm_head.weight" {
                self.check_tied_head()?;
                continue;
            }
            return Err(self.other(
                name,
                match unexpected.len() {
                    1 => "the config has no place for it".to_owned(),
                    n => format!("the config has no place for it, nor for {} others", n - 1),
                },
            ));
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

    /// Some tools save a tied head a second time. That is harmless only if it is the same.
    fn check_tied_head(&self) -> Result<(), WeightError> {
        let embedding = self.files.get(&self.stored("model.embed_tokens.weight"));
        let head = self.files.get("lm_head.weight");
        match (embedding, head) {
            (Some(e), Some(h)) if e.dtype == h.dtype && e.bytes == h.bytes => Ok(()),
            _ => Err(self.other(
                "lm_head.weight",
                "it differs from model.embed_tokens.weight, but the config ties them: \
                 --set tie_word_embeddings=false uses it"
                    .to_owned(),
            )),
        }
    }

    /// The name in the files of what the model calls `name`.
    fn stored(&self, name: &str) -> String {
        name.strip_prefix(self.prefix).unwrap_or(name).to_owned()
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
    /// The file's own bytes, where the machine can compute with them as they are.
    fn in_place(&self, name: &str, bytes: Range<usize>, stored: Dtype, wanted: Dtype) -> Option<Bytes> {
        if stored != wanted || bytes.is_empty() || cfg!(target_endian = "big") {
            return None;
        }
        let (shard, range) = self.files.place(name, bytes)?;
        mapped(shard, range, stored.bytes())
    }
}

impl WeightSource for CheckpointSource<'_> {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let name = self.stored(weight.name);
        let origin = self.origin(&name);
        let Some(tensor) = self.files.get(&name) else {
            return Err(WeightError::Missing { origin, name });
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
        let stored = self.stored(weight.name);
        let quants = parts(&stored).and_then(|[quants, ..]| self.files.get(&quants));
        match (quants, self.files.get(&stored)) {
            (Some(_), Some(_)) => Err(self.other(&stored, "is there twice, as numbers and as codes".to_owned())),
            (quants, _) => Ok(quants.is_some()),
        }
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
fn to_data(bytes: &[u8], from: Dtype, len: usize, to: Dtype, shape: Vec<usize>) -> (TensorData, usize) {
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
