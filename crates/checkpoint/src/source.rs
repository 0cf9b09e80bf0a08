//! A checkpoint as the source of a model's weights.

use std::{collections::BTreeSet, ops::Range};

use burn::tensor::{Bytes, TensorData};
use glass_backend::{Dtype, QuantizedRows, WeightError, WeightSource, WeightSpec};
use glass_config::{LlamaConfig, StoredRows};
use half::vec::HalfBitsVecExt;

use super::{
    Files, RawTensor, convert_bytes, float,
    mapped::mapped,
    mxfp4::{self, Mxfp4Matrix},
    quantized::{QuantizedMatrix, parts},
    stored::{gather, is_contiguous, way},
};

/// Reads weights tensor by tensor, and keeps account of what was read.
pub struct CheckpointSource<'a> {
    files: &'a Files,
    used: BTreeSet<String>,
    /// Whose family names the files' tensors.
    config: Option<&'a LlamaConfig>,
    prefix: &'static str,
    overflowed: Vec<(String, usize)>,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> CheckpointSource<'a> {
    /// `progress` is told the bytes of every tensor as it is read.
    pub fn new(files: &'a Files, progress: &'a mut dyn FnMut(u64)) -> Self {
        let (used, prefix) = (BTreeSet::new(), files.prefix());
        Self { files, used, config: None, prefix, overflowed: Vec::new(), progress }
    }

    /// The same, of files of this config's family: they may call tensors otherwise than modules do, and hold several in one.
    pub fn named_by(self, config: &'a LlamaConfig) -> Self {
        Self { config: Some(config), ..self }
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

    /// Some tools save a tied head a second time. That is harmless only if it is the same.
    fn check_tied_head(&self) -> Result<(), WeightError> {
        let name = "model.embed_tokens.weight";
        let name = self.config.map_or_else(|| name.to_owned(), |config| config.stored(name, &[])[0][0].name.clone());
        let embedding = self.files.get(&self.stored(&name));
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
    /// The file's own bytes, where the machine can compute with them as they are.
    fn in_place(&self, name: &str, bytes: Range<usize>, stored: Dtype, wanted: Dtype) -> Option<Bytes> {
        if stored != wanted || bytes.is_empty() || cfg!(target_endian = "big") {
            return None;
        }
        let (shard, range) = self.files.place(name, bytes)?;
        mapped(shard, range, stored.bytes())
    }
}

impl CheckpointSource<'_> {
    fn way(&self, weight: WeightSpec<'_>) -> Vec<StoredRows> {
        way(self.files, self.config, self.prefix, weight)
    }

    /// The tensor in floating point that a weight's rows lie in, and its type.
    fn tensor(&self, piece: &StoredRows) -> Result<(RawTensor<'_>, Dtype), WeightError> {
        let (origin, name) = (self.origin(&piece.name), piece.name.clone());
        let Some(tensor) = self.files.get(&name) else {
            return Err(WeightError::Missing { origin, name });
        };
        if tensor.shape != piece.shape {
            let (found, expected) = (tensor.shape.to_vec(), piece.shape.clone());
            return Err(WeightError::Shape { origin, name, found, expected });
        }
        match float(tensor.dtype) {
            Ok(stored) => Ok((tensor, stored)),
            Err(_) => Err(WeightError::Type { origin, name, found: tensor.dtype.to_string() }),
        }
    }
}

impl WeightSource for CheckpointSource<'_> {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let (row, part) = (weight.row_len(), weight.shape_of(&rows));
        let way = self.way(weight);
        let (_, first) = self.tensor(&way[0])?;
        let mut whole = Vec::new();
        for piece in &way {
            let (tensor, stored) = self.tensor(piece)?;
            if stored != first {
                let (origin, name) = (self.origin(&piece.name), piece.name.clone());
                return Err(WeightError::Type { origin, name, found: tensor.dtype.to_string() });
            }
            let width = stored.bytes();
            let release = rows.end == weight.rows();
            if way.len() > 1 || !is_contiguous(piece, row) {
                whole.resize(rows.len() * row * width, 0);
                gather(piece, rows.clone(), row, width, tensor.bytes, &mut whole);
                continue;
            }
            let start = piece.start + rows.start * row;
            let range = start * width..(start + rows.len() * row) * width;
            let bytes = &tensor.bytes[range.clone()];
            let data = match self.in_place(&piece.name, range, stored, dtype) {
                Some(bytes) => TensorData::from_bytes(bytes, part, dtype.burn()),
                None => {
                    let (data, overflowed) = to_data(bytes, stored, rows.len() * row, dtype, part);
                    self.count(&piece.name, overflowed);
                    if release {
                        self.files.release(&piece.name);
                    }
                    data
                }
            };
            (self.progress)((rows.len() * row * width) as u64);
            self.used.insert(piece.name.clone());
            return Ok(data);
        }
        (self.progress)(whole.len() as u64);
        let (data, overflowed) = to_data(&whole, first, rows.len() * row, dtype, part);
        self.count(&way[0].name, overflowed);
        for piece in way {
            self.files.release(&piece.name);
            self.used.insert(piece.name);
        }
        Ok(data)
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        let stored = &self.way(weight)[0].name;
        let quants = parts(stored).and_then(|[quants, ..]| self.files.get(&quants));
        let is_quantized = quants.is_some() || mxfp4::holds(self.files, stored);
        match (is_quantized, self.files.get(stored)) {
            (true, Some(_)) => Err(self.other(stored, "is there twice, as numbers and as codes".to_owned())),
            (is_quantized, _) => Ok(is_quantized),
        }
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
            let first = piece.start / columns;
            let (read, bytes) = matrix.rows(first + rows.start..first + rows.end)?;
            (read, bytes, matrix.names().to_vec())
        };
        self.used.extend(names);
        (self.progress)(bytes);
        Ok(read)
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
