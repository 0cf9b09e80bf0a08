//! Named tensors become safetensors files: one, or shards and their index, as `save_pretrained` of `transformers`
//! writes them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use glass_backend::WeightError;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;

use crate::WEIGHTS_INDEX;
use crate::save_error::SaveError;
use crate::saving::Saving;
use crate::shard::MAX_HEADER;
use crate::sharding::{ShardSize, file_name};

/// A tensor to be saved, but for its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub dtype: Dtype,
    /// Row-major, outermost dimension first; empty for a scalar.
    pub shape: Vec<usize>,
}

/// What there is to save. It is asked for one tensor at a time, so that a model larger than memory can be saved.
pub trait TensorSource {
    /// All tensors, in the order in which they are to be dealt out to files.
    fn tensors(&self) -> Vec<TensorSpec>;

    /// The little-endian elements of one of them.
    ///
    /// # Errors
    /// They cannot be had: the device that holds them fails, for instance.
    fn bytes(&mut self, name: &str) -> Result<Cow<'_, [u8]>, WeightError>;
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// File names of the weights, the index not among them.
    pub files: Vec<String>,
    pub tensors: usize,
    /// Bytes of all tensors, headers not counted.
    pub bytes: u64,
    /// Each once.
    pub dtypes: BTreeSet<Dtype>,
}

/// Told the bytes written so far and the bytes in all; `Break` ends the saving.
pub type SaveProgress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Bytes between two reports of progress.
const CHUNK: usize = 4 << 20;

struct Planned {
    spec: TensorSpec,
    elements: u64,
    bytes: u64,
}

impl Saving {
    /// Writes the weights: `model.safetensors` if they fit into one file of `max_shard_size`, else shards and index.
    ///
    /// # Errors
    /// A tensor that cannot be, cannot be had or cannot be written; [`SaveError::Interrupted`] if `progress` says so.
    pub fn write_tensors(
        &mut self,
        source: &mut dyn TensorSource,
        max_shard_size: ShardSize,
        progress: SaveProgress<'_>,
    ) -> Result<Written, SaveError> {
        let tensors = plan(source.tensors())?;
        let total = tensors.iter().map(|tensor| tensor.bytes).sum();
        let mut written = Written {
            files: Vec::new(),
            tensors: tensors.len(),
            bytes: 0,
            dtypes: tensors.iter().map(|tensor| tensor.spec.dtype).collect(),
        };
        let shards = max_shard_size.deal(tensors.iter().map(|tensor| tensor.bytes));
        let mut weight_map = BTreeMap::new();
        for (number, shard) in shards.iter().enumerate() {
            let name = file_name(number + 1, shards.len());
            let mut shard: Vec<&Planned> = shard.iter().map(|&index| &tensors[index]).collect();
            // Wide elements first keeps every tensor aligned for its type, as the format's own library does.
            shard.sort_by(|a, b| {
                let by_dtype = b.spec.dtype.cmp(&a.spec.dtype);
                by_dtype.then_with(|| a.spec.name.cmp(&b.spec.name))
            });
            self.write_shard(&name, &shard, source, &mut |bytes| {
                written.bytes += bytes;
                match progress(written.bytes, total) {
                    ControlFlow::Continue(()) => Ok(()),
                    ControlFlow::Break(()) => Err(SaveError::Interrupted),
                }
            })?;
            weight_map.extend(shard.iter().map(|tensor| (&tensor.spec.name, name.clone())));
            written.files.push(name);
        }
        if shards.len() > 1 {
            let total_parameters: u64 = tensors.iter().map(|tensor| tensor.elements).sum();
            let index = json!({
                "metadata": { "total_parameters": total_parameters, "total_size": total },
                "weight_map": weight_map,
            });
            self.write(WEIGHTS_INDEX, format!("{index:#}\n").as_bytes())?;
        }
        Ok(written)
    }

    fn write_shard(
        &mut self,
        name: &str,
        tensors: &[&Planned],
        source: &mut dyn TensorSource,
        report: &mut dyn FnMut(u64) -> Result<(), SaveError>,
    ) -> Result<(), SaveError> {
        let mut file = self.create(name)?;
        file.write(&header(tensors)?)?;
        for tensor in tensors {
            let bytes = source.bytes(&tensor.spec.name)?;
            if bytes.len() as u64 != tensor.bytes {
                return Err(SaveError::Tensor {
                    tensor: tensor.spec.name.clone(),
                    reason: format!(
                        "shape {:?} of {} takes {} bytes, and its source gave {}",
                        tensor.spec.shape,
                        tensor.spec.dtype,
                        tensor.bytes,
                        bytes.len()
                    ),
                });
            }
            for chunk in bytes.chunks(CHUNK) {
                file.write(chunk)?;
                report(chunk.len() as u64)?;
            }
        }
        file.close()?;
        // Syncing takes long enough for an interrupt to arrive.
        report(0)
    }
}

/// Measures the tensors; refuses what no file can hold.
fn plan(specs: Vec<TensorSpec>) -> Result<Vec<Planned>, SaveError> {
    let mut names = BTreeSet::new();
    for spec in &specs {
        if !names.insert(&spec.name) {
            return Err(SaveError::Tensor {
                tensor: spec.name.clone(),
                reason: "there are two of that name".to_owned(),
            });
        }
    }
    let mut planned = Vec::with_capacity(specs.len());
    for spec in specs {
        let mut dimensions = spec.shape.iter().map(|&n| n as u64);
        let elements = dimensions.try_fold(1, u64::checked_mul);
        let bits = elements.and_then(|elements| elements.checked_mul(spec.dtype.bitsize() as u64));
        match (elements, bits) {
            (Some(elements), Some(bits)) if bits.is_multiple_of(8) => {
                planned.push(Planned { elements, bytes: bits / 8, spec })
            }
            _ => {
                return Err(SaveError::Tensor {
                    reason: format!(
                        "shape {:?} of {} does not make whole bytes that can be counted",
                        spec.shape, spec.dtype
                    ),
                    tensor: spec.name,
                });
            }
        }
    }
    Ok(planned)
}

/// Length and JSON of the header, filled up with spaces so that the data after it is aligned.
fn header(tensors: &[&Planned]) -> Result<Vec<u8>, SaveError> {
    let mut end = 0;
    let entries = tensors.iter().map(|tensor| {
        let start = end;
        end += tensor.bytes as usize;
        let info =
            TensorInfo { dtype: tensor.spec.dtype, shape: tensor.spec.shape.clone(), data_offsets: (start, end) };
        (tensor.spec.name.clone(), info)
    });
    // transformers refuses files that do not name the framework that can read them; numbers are numbers in all.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), entries.collect());
    let json = metadata.and_then(|metadata| Ok(serde_json::to_vec(&metadata)?));
    let mut json = json.map_err(|error| SaveError::Tensor {
        tensor: tensors.first().map_or_else(String::new, |first| first.spec.name.clone()),
        reason: format!("the header of its file is not possible: {error}"),
    })?;
    json.resize(json.len().next_multiple_of(8), b' ');
    if json.len() as u64 > MAX_HEADER {
        return Err(SaveError::TooMany { tensors: tensors.len() });
    }
    let length = (json.len() as u64).to_le_bytes();
    Ok([&length[..], &json].concat())
}
