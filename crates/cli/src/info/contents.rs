//! What a model's files hold, by their headers.

use glass_checkpoint::{QuantizedPart, quantized_part};
use glass_generate::{ModelFiles, StoredWeights};

use crate::error::CliError;

pub struct Contents {
    pub tensors: Vec<StoredTensor>,
    /// Of a GGUF file, each with its type.
    pub keys: Vec<(String, String)>,
    pub warnings: Vec<String>,
}

pub struct StoredTensor {
    pub name: String,
    /// The file's word for its type.
    pub dtype: String,
    pub shape: Vec<usize>,
    pub bytes: u64,
    pub held: Held,
}

/// How a loaded model holds a tensor.
pub enum Held {
    /// The bytes of the file: codes, and what belongs to them.
    AsStored,
    /// Numbers, in whatever type.
    AsFloats,
    Nowhere,
}

impl Contents {
    pub fn of(files: &ModelFiles) -> Result<Self, CliError> {
        let (mut tensors, mut keys) = (Vec::new(), Vec::new());
        let mut add = |name: &str, dtype: String, shape: &[usize], bytes: &[u8], held| {
            let bytes = bytes.len() as u64;
            tensors.push(StoredTensor { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes, held });
        };
        let warnings = match files.weights()? {
            StoredWeights::Files(files) => {
                for (name, tensor) in files.names().filter_map(|name| Some((name, files.get(name)?))) {
                    let held = match quantized_part(name) {
                        Some((_, QuantizedPart::Shape)) => Held::Nowhere,
                        Some(_) => Held::AsStored,
                        None if tensor.dtype == safetensors::Dtype::U8 => Held::AsStored,
                        None => Held::AsFloats,
                    };
                    add(name, tensor.dtype.to_string(), tensor.shape, tensor.bytes, held);
                }
                files.warnings().to_vec()
            }
            StoredWeights::Gguf(file) => {
                for tensor in file.tensors() {
                    let held = if tensor.ty.block_format().is_some() { Held::AsStored } else { Held::AsFloats };
                    add(tensor.name, tensor.ty.to_string(), tensor.shape, tensor.bytes, held);
                }
                keys.extend(file.metadata().iter().map(|(key, value)| (key.to_owned(), value.to_string())));
                file.warnings().to_vec()
            }
        };
        Ok(Self { tensors, keys, warnings })
    }
}
