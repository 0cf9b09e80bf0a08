//! Quantized matrices in a checkpoint: the tensors that make one up.
//!
//! The layout is `pack-quantized` of compressed-tensors, which transformers and vLLM read too: `weight_packed` (the quants, in
//! 32-bit words), `weight_scale`, `weight_shape` and perhaps `weight_zero_point` in place of `weight`.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{
    Dtype, PlanarRows, QuantizedRows, WeightError,
    quant::{self, GROUP_SIZE, QuantFormat, ZERO_POINTS_PER_WORD, words, zero_words},
};
use half::f16;

use crate::{Files, RawTensor, StoredFloat, convert_bytes, float, mapped::mapped, zero_points::ZeroPoints};

/// What the parts' names end with in place of `weight`.
const QUANTS: &str = "weight_packed";
const SCALES: &str = "weight_scale";
const SHAPE: &str = "weight_shape";
const ZERO_POINTS: &str = "weight_zero_point";

/// The names of the tensors that make up matrix `name`, which ends with `weight`: quants, scales, shape, zero points.
pub(super) fn parts(name: &str) -> Option<[String; 4]> {
    let module = name.strip_suffix("weight")?;
    Some([QUANTS, SCALES, SHAPE, ZERO_POINTS].map(|part| format!("{module}{part}")))
}

/// What a tensor is to the quantized matrix that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizedPart {
    Quants,
    Scales,
    Shape,
    ZeroPoints,
}

/// The name of the matrix that the tensor `name` is a part of, and which; the inverse of [`parts`].
pub fn quantized_part(name: &str) -> Option<(String, QuantizedPart)> {
    let of = |(suffix, part)| Some((format!("{}weight", name.strip_suffix(suffix)?), part));
    let all = [
        (QUANTS, QuantizedPart::Quants),
        (SCALES, QuantizedPart::Scales),
        (SHAPE, QuantizedPart::Shape),
        (ZERO_POINTS, QuantizedPart::ZeroPoints),
    ];
    all.into_iter().find_map(of)
}

/// A quantized matrix `[rows, columns]` in its file.
pub(super) struct QuantizedMatrix<'a> {
    files: &'a Files,
    names: [String; 4],
    quants: RawTensor<'a>,
    scales: RawTensor<'a>,
    /// `None`: zero is in the middle.
    zero_points: Option<ZeroPoints<'a>>,
    format: QuantFormat,
    columns: usize,
    /// 32-bit words per row.
    words: usize,
    /// Values of a row that share a scale, in the file.
    group: usize,
}

impl<'a> QuantizedMatrix<'a> {
    /// `None` if the files do not hold `name` quantized.
    ///
    /// # Errors
    /// They do, and its tensors contradict each other or the shape.
    pub fn find(files: &'a Files, name: &str, [rows, columns]: [usize; 2]) -> Result<Option<Self>, WeightError> {
        let Some(names) = parts(name) else {
            return Ok(None);
        };
        let Some(quants) = files.get(&names[0]) else {
            return Ok(None);
        };
        let other = |reason: String| WeightError::Other {
            origin: quants.file.display().to_string(),
            name: names[0].clone(),
            reason,
        };
        let Some(scales) = files.get(&names[1]) else {
            return Err(other(format!("{} is missing beside it", names[1])));
        };
        if let Some(shape) = files.get(&names[2]) {
            let said = shape.bytes.as_chunks().0.iter().map(|n| i64::from_le_bytes(*n));
            if shape.dtype != safetensors::Dtype::I64 || !said.eq([rows as i64, columns as i64]) {
                return Err(other(format!("{} does not say [{rows}, {columns}], which the config asks for", names[2])));
            }
        }
        if quants.dtype != safetensors::Dtype::I32 || float(scales.dtype).is_err() {
            return Err(other(format!(
                "codes are stored as {} and scales as {}, where I32 and F16, BF16 or F32 are read",
                quants.dtype, scales.dtype
            )));
        }
        let ([quant_rows, words], [scale_rows, groups]) = (quants.shape, scales.shape) else {
            return Err(other("codes and scales are not matrices".to_owned()));
        };
        let (words, groups) = (*words, *groups);
        // A row ends with its last group, or with its last quant; below a group these could be taken for each other.
        let fits = |format: &QuantFormat| {
            let short = columns >= GROUP_SIZE && words == columns.div_ceil(format.per_word());
            short || words == self::words(columns, *format)
        };
        let format = [QuantFormat::Int4, QuantFormat::Int8].into_iter().find(fits);
        let (true, Some(format)) = ([*quant_rows, *scale_rows] == [rows, rows], format) else {
            return Err(other(format!(
                "its shape {:?} does not make [{rows}, {columns}] in 4 or 8 bits",
                quants.shape
            )));
        };
        // Groups are as long as each other but for the last.
        let group = match groups {
            0 => 0,
            1 => columns.next_multiple_of(GROUP_SIZE),
            groups => columns.div_ceil(groups).next_multiple_of(GROUP_SIZE),
        };
        if group == 0 || columns.div_ceil(group) != groups {
            return Err(other(format!(
                "{groups} scales for {columns} numbers of a row: each must serve a multiple of {GROUP_SIZE}"
            )));
        }
        let zero_points = match files.get(&names[3]) {
            None => None,
            Some(_) if format == QuantFormat::Int8 => {
                return Err(other(format!("{} is there, and zero points are read in 4 bits only", names[3])));
            }
            Some(tensor) => {
                let zero_points = ZeroPoints::of(&tensor, [rows, groups]);
                Some(zero_points.map_err(|reason| other(format!("{} {reason}", names[3])))?)
            }
        };
        Ok(Some(Self { files, names, quants, scales, zero_points, format, columns, words, group }))
    }

    /// The tensors it is made of, as far as they are there.
    pub fn names(self) -> [String; 4] {
        self.names
    }

    /// Its bits, and whether it has zero points.
    pub fn zero_points(&self) -> (usize, bool) {
        (self.format.bits(), self.zero_points.is_some())
    }

    /// Whether some of its scales are not exact in the type in which scales are held.
    pub fn rounds_scales(&self) -> bool {
        let scales = self.scales.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        self.scales.dtype == safetensors::Dtype::F32 && scales.into_iter().any(|x| f16::from_f32(x).to_f32() != x)
    }

    /// Some rows, in groups of [`GROUP_SIZE`]; and the bytes of the file that they take.
    pub fn rows(&self, rows: Range<usize>) -> Result<(QuantizedRows, u64), WeightError> {
        let quants = &self.quants.bytes[rows.start * self.words * 4..rows.end * self.words * 4];
        let groups = self.columns.div_ceil(self.group);
        let width = float(self.scales.dtype).map_or(0, StoredFloat::bytes);
        let scales = &self.scales.bytes[rows.start * groups * width..rows.end * groups * width];
        let shape = [rows.len(), words(self.columns, self.format)];
        let whole = shape[1] == self.words;
        let start = rows.start * self.words * 4;
        let place = self.files.place(&self.names[0], start..start + quants.len());
        let in_place = match place {
            Some((shard, range)) if whole && cfg!(target_endian = "little") => mapped(shard, range, align_of::<i32>()),
            _ => None,
        };
        let bytes = (quants.len() + scales.len()) as u64;
        let zero_points = self.zero_points_of(rows.clone());
        let quants = match in_place {
            Some(bytes) => TensorData::from_bytes(bytes, shape, burn::tensor::DType::I32),
            None => TensorData::new(self.filled(quants, rows.clone()), shape),
        };
        let scales = TensorData::new(self.spread(scales)?, [rows.len(), quant::groups(self.columns)]);
        let rows = QuantizedRows::Planar(PlanarRows { format: self.format, quants, scales, zero_points });
        Ok((rows, bytes))
    }

    /// Rows that end with their last quant, filled up to whole groups with quants of zero.
    fn filled(&self, quants: &[u8], rows: Range<usize>) -> Vec<i32> {
        let words = words(self.columns, self.format);
        let repeated =
            |quant: i32| (0..self.format.per_word()).fold(0, |word, i| word | quant << (i * self.format.bits()));
        let mut filled = vec![0; rows.len() * words];
        let used = self.columns / self.format.per_word();
        let rest = self.columns % self.format.per_word() * self.format.bits();
        let from = quants.chunks_exact(self.words * 4);
        for ((row, to), from) in rows.zip(filled.chunks_exact_mut(words)).zip(from) {
            let zero = match &self.zero_points {
                Some(zero_points) => {
                    let zero = repeated(zero_points.stored(row, (self.columns - 1) / self.group));
                    to.fill(zero);
                    zero
                }
                None => {
                    let zero = repeated(i32::from(self.format.zero()));
                    to.fill(zero);
                    zero
                }
            };
            for (to, from) in to.iter_mut().zip(from.as_chunks().0).take(self.words) {
                *to = i32::from_le_bytes(*from);
            }
            if rest > 0 {
                let mask = (1 << rest) - 1;
                to[used] = to[used] & mask | zero & !mask;
            }
        }
        filled
    }

    /// A scale for each [`GROUP_SIZE`] values of a row, from one for each group of the file.
    fn spread(&self, scales: &[u8]) -> Result<Vec<f16>, WeightError> {
        let from = float(self.scales.dtype).map_err(|error| self.wrong(error.to_string()))?;
        let mut values = vec![f16::ZERO; scales.len() / from.bytes()];
        let overflowed = convert_bytes(scales, from, bytemuck::cast_slice_mut(&mut values), Dtype::F16);
        if overflowed > 0 {
            return Err(self.wrong(format!("{overflowed} scales are beyond binary16, in which scales are held")));
        }
        let per_group = self.group / GROUP_SIZE;
        if per_group == 1 {
            return Ok(values);
        }
        let groups = self.columns.div_ceil(self.group);
        let wanted = quant::groups(self.columns);
        let rows = values.chunks_exact(groups);
        let spread = rows.flat_map(|row| (0..wanted).map(|group| row[group / per_group]));
        Ok(spread.collect())
    }

    /// In the order of memory: along the rows.
    fn zero_points_of(&self, rows: Range<usize>) -> Option<TensorData> {
        let words = zero_words(self.columns, self.format);
        if words == 0 {
            return None;
        }
        let shape = [rows.len(), words];
        let per_group = self.group / GROUP_SIZE;
        let mut packed = vec![0; rows.len() * words];
        for (row, to) in rows.zip(packed.chunks_exact_mut(words)) {
            for group in 0..quant::groups(self.columns) {
                let zero = match &self.zero_points {
                    Some(zero_points) => zero_points.stored(row, group / per_group),
                    None => self.format.offset(),
                };
                to[group / ZERO_POINTS_PER_WORD] |= zero << (4 * (group % ZERO_POINTS_PER_WORD));
            }
        }
        Some(TensorData::new(packed, shape))
    }

    fn wrong(&self, reason: String) -> WeightError {
        WeightError::Other { origin: self.scales.file.display().to_string(), name: self.names[1].clone(), reason }
    }
}
