//! A model's folder as a GGUF file.

use std::{collections::BTreeMap, io::Write, ops::ControlFlow, path::Path};

use glass_backend::{
    Device, Dtype, WeightError, WeightRole, WeightRoles, WeightSource, WeightSpec, quant::quantize_blocks,
};
use glass_causal_lm::LlamaForCausalLM;
use glass_config::{ConfigError, LlamaConfig, StoredRows};
use glass_gguf::{GgmlType, Gguf, GgufError, Metadata, TensorInfo, Value, Writer};
use half::{bf16, f16, slice::HalfFloatSliceExt};
use thiserror::Error;

use super::{GgufFormat, mixture::Mixture, stored_in_gguf};
use crate::{CheckpointError, CheckpointSource, Files, floats::overflow, own_head};

/// The layout of blocks, which has changed once.
const QUANTIZATION_VERSION: u32 = 2;

/// Why a GGUF file was not written: one line each.
#[derive(Debug, Error)]
pub enum GgufWriteError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Weight(#[from] WeightError),
    #[error(transparent)]
    Device(#[from] glass_backend::DeviceError),
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("interrupted")]
    Interrupted,
}

/// A folder that is to become a GGUF file.
pub struct GgufModel {
    files: Files,
    config: LlamaConfig,
    roles: WeightRoles,
    warnings: Vec<String>,
}

/// A tensor of the file, and the weights whose rows it holds, in their order there.
struct Planned {
    info: TensorInfo,
    weights: Vec<(String, Vec<StoredRows>)>,
}

impl GgufModel {
    /// # Errors
    /// The folder cannot be read, its weights are in few bits already, or GGUF has no architecture for it.
    pub fn open(folder: &Path) -> Result<Self, GgufWriteError> {
        let files = Files::open(folder)?;
        let mut config = LlamaConfig::from_file(&folder.join("config.json"), &[])?;
        let own_head = own_head(&files, &mut config);
        if config.quantization_config.is_some() {
            return Err(CheckpointError::Quantized(folder.to_owned()).into());
        }
        // Nothing is computed: the device only has to be there.
        let roles = LlamaForCausalLM::weight_roles(&config, &Device::open("flex")?)?;
        Ok(Self { files, config, roles, warnings: own_head.into_iter().collect() })
    }

    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// What the file will say and hold. `more` are the keys that are not the model's: its name and tokenizer.
    ///
    /// # Errors
    /// GGUF has no words for the model, or no place for a weight.
    pub fn plan(&self, format: GgufFormat, more: &Metadata) -> Result<GgufPlan<'_>, GgufWriteError> {
        let mut metadata = Metadata::new(more.origin());
        let positions = self.config.write_gguf(&mut metadata)?;
        metadata.insert("general.type", "model");
        metadata.insert("general.file_type", format.number());
        metadata.insert("general.quantization_version", QUANTIZATION_VERSION);
        for (key, value) in more.iter() {
            metadata.insert(key, Value::clone(value));
        }
        let mut tensors: Vec<Planned> = Vec::new();
        for (name, values) in &positions {
            let info = TensorInfo { name: (*name).to_owned(), ty: GgmlType::F32, shape: vec![values.len()] };
            tensors.push(Planned { info, weights: Vec::new() });
        }
        tensors.extend(self.tensors(format)?);
        let writer = Writer::new(&metadata, tensors.iter().map(|tensor| tensor.info.clone()).collect())?;
        Ok(GgufPlan { model: self, positions, tensors, writer, warnings: self.warnings.clone() })
    }

    /// Sees that a file that was written says this model.
    ///
    /// # Errors
    /// One line that names what GGUF has no words for.
    pub fn check(&self, file: &Gguf) -> Result<(), GgufWriteError> {
        Ok(self.config.is_said_by_gguf(file)?)
    }

    /// The tensors with weights: the embedding, the layers, the last norm, the head.
    fn tensors(&self, format: GgufFormat) -> Result<Vec<Planned>, GgufWriteError> {
        let mixture = Mixture::new(format, &self.config);
        let mut planned: BTreeMap<(usize, String), Planned> = BTreeMap::new();
        for (name, _, shape) in self.roles.iter() {
            let way = stored_in_gguf(&self.config, name, shape).ok_or_else(|| WeightError::Other {
                origin: self.files.origin().display().to_string(),
                name: name.to_owned(),
                reason: "GGUF has no place for it in this architecture; keep the folder as it is".to_owned(),
            })?;
            let Some(first) = way.first() else { continue };
            let layer = self.roles.layer_of(name);
            let order = match layer {
                Some(layer) => layer + 1,
                None if first.name.starts_with("token_embd") => 0,
                None => usize::MAX,
            };
            let tensor = planned.entry((order, first.name.clone())).or_insert_with(|| {
                let ty = mixture.type_of(&first.name, layer, &first.shape);
                let info = TensorInfo { name: first.name.clone(), ty, shape: first.shape.clone() };
                Planned { info, weights: Vec::new() }
            });
            tensor.weights.push((name.to_owned(), way));
        }
        let mut planned: Vec<Planned> = planned.into_values().collect();
        for tensor in &mut planned {
            tensor.weights.sort_by_key(|(_, way)| start(way));
        }
        Ok(planned)
    }
}

/// A file that is to be written.
pub struct GgufPlan<'a> {
    model: &'a GgufModel,
    positions: Vec<(&'static str, Vec<f32>)>,
    tensors: Vec<Planned>,
    writer: Writer,
    warnings: Vec<String>,
}

impl GgufPlan<'_> {
    /// How many tensors have each type.
    pub fn types(&self) -> BTreeMap<GgmlType, usize> {
        let mut types = BTreeMap::new();
        for tensor in &self.tensors {
            *types.entry(tensor.info.ty).or_insert(0) += 1;
        }
        types
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Writes the file, one weight after the other. `progress` is told the bytes written so far; `Break` ends it. Returns
    /// warnings, one line each.
    ///
    /// # Errors
    /// A weight cannot be read or is not finite, or `out` cannot be written.
    pub fn write(
        mut self,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Vec<String>, GgufWriteError> {
        let GgufModel { files, config, roles, .. } = self.model;
        let ignore = &mut |_| {};
        let mut source = CheckpointSource::new(files, config, ignore);
        let by_name: BTreeMap<&str, &Planned> =
            self.tensors.iter().map(|tensor| (tensor.info.name.as_str(), tensor)).collect();
        let (mut written, mut overflowed) = (0, Vec::new());
        self.writer.write(out, |info, out| {
            if let Some((_, values)) = self.positions.iter().find(|(name, _)| *name == info.name) {
                return Ok(out.write_all(bytemuck::cast_slice(values)).map_err(GgufError::Write)?);
            }
            let Some(tensor) = by_name.get(info.name.as_str()) else { unreachable!("all tensors are planned") };
            for (name, way) in &tensor.weights {
                let values = read(&mut source, roles, name, way)?;
                let (bytes, too_large) = converted(&values, info)?;
                out.write_all(&bytes).map_err(GgufError::Write)?;
                if too_large > 0 {
                    overflowed.push(overflow(&info.name, too_large));
                }
                written += bytes.len() as u64;
                if progress(written).is_break() {
                    return Err(GgufWriteError::Interrupted);
                }
            }
            Ok(())
        })?;
        self.warnings.extend(source.finish()?);
        self.warnings.extend(overflowed);
        Ok(self.warnings)
    }
}

/// Where a weight's values begin in its tensor.
fn start(way: &[StoredRows]) -> usize {
    way.iter().map(|piece| piece.start).min().unwrap_or(0)
}

/// A weight's values as they lie in its tensor, one behind the other.
fn read(
    source: &mut CheckpointSource<'_>,
    roles: &WeightRoles,
    name: &str,
    way: &[StoredRows],
) -> Result<Vec<f32>, WeightError> {
    let known = roles.iter().find(|(known, ..)| *known == name);
    let Some((_, role, shape)) = known else { unreachable!("all weights have a role") };
    let weight = WeightSpec { name, shape, role, layer: roles.layer_of(name) };
    let data = source.read(weight, 0..weight.rows(), Dtype::F32)?;
    let mut values: Vec<f32> = data.iter::<f32>().collect();
    if role == WeightRole::NormOffset {
        values.iter_mut().for_each(|value| *value += 1.0);
    }
    let columns = weight.row_len();
    if let [piece] = way
        && piece.strides == [columns, 1]
    {
        return Ok(values);
    }
    let (first, mut placed) = (start(way), vec![0.0; values.len()]);
    for piece in way {
        for row in piece.rows.clone() {
            let from = &values[row * columns..][..columns];
            let to = piece.start - first + (row - piece.rows.start) * piece.strides[0];
            if piece.strides[1] == 1 {
                placed[to..][..columns].copy_from_slice(from);
            } else {
                from.iter().enumerate().for_each(|(column, value)| placed[to + column * piece.strides[1]] = *value);
            }
        }
    }
    Ok(placed)
}

/// In the type of the tensor, and how many values were too large for it.
fn converted(values: &[f32], tensor: &TensorInfo) -> Result<(Vec<u8>, usize), WeightError> {
    let finite = values.iter().filter(|value| value.is_finite()).count();
    match (tensor.ty, tensor.ty.block_format()) {
        (_, Some(format)) => {
            let columns = tensor.shape.last().copied().unwrap_or(1);
            let mut bytes = vec![0; values.len() / columns * format.row_bytes(columns)];
            quantize_blocks(values, columns, format, &mut bytes).map_err(|error| WeightError::Other {
                origin: "quantizing".to_owned(),
                name: tensor.name.clone(),
                reason: error.to_string(),
            })?;
            Ok((bytes, 0))
        }
        (GgmlType::F16, None) => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            let left = halves.iter().filter(|value| value.is_finite()).count();
            Ok((bytemuck::cast_slice(&halves).to_vec(), finite - left))
        }
        (GgmlType::Bf16, None) => {
            let mut halves = vec![bf16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            let left = halves.iter().filter(|value| value.is_finite()).count();
            Ok((bytemuck::cast_slice(&halves).to_vec(), finite - left))
        }
        _ => Ok((bytemuck::cast_slice(values).to_vec(), 0)),
    }
}
