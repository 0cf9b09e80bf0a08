//! A model folder written again with its matrices in 8 or 4 bits.

use std::path::Path;

use glass_backend::quant::QuantFormat;
use glass_config::{LlamaConfig, Stored, config_text};

use crate::{
    CheckpointError, Conversion, ConvertError, Files, QuantizedTensors, SaveProgress, Scheme,
    ShardSize, convert::rewrite,
};

/// What became of a folder.
#[derive(Debug)]
pub struct Quantization {
    pub conversion: Conversion,
    /// How many matrices are in this many bits now, the fewest bits first.
    pub matrices: Vec<(QuantFormat, usize)>,
}

/// Writes the model in `folder` to `target`, a new or empty folder, with its matrices as
/// [`Scheme`] has it; everything else keeps its type. `config.json` says so in the words of compressed-tensors, so that
/// others read the folder too where every row is a multiple of 32 long.
///
/// # Errors
/// The source cannot be read, is quantized already or has numbers that are not finite; the target cannot be written.
pub fn quantize(
    folder: &Path,
    target: &Path,
    bits: QuantFormat,
    max_shard_size: ShardSize,
    progress: SaveProgress<'_>,
) -> Result<Quantization, ConvertError> {
    let files = Files::open(folder)?;
    let file = folder.join("config.json");
    let config = LlamaConfig::from_file(&file, &[])?;
    if config.quantization_config.is_some() {
        return Err(CheckpointError::Quantized(folder.to_owned()).into());
    }
    let scheme = Scheme::new(bits, &config);
    let text = config_text(&file, Stored::Quantized(&scheme.config()))?;

    let mut tensors = QuantizedTensors::new(&files, scheme);
    let count = |bits| (bits, tensors.matrices().filter(|(_, b)| *b == bits).count());
    let mut matrices = vec![count(QuantFormat::Int4), count(QuantFormat::Int8)];
    matrices.retain(|(_, count)| *count > 0);

    let progress = (max_shard_size, progress);
    let conversion = rewrite(folder, target, &files, &text, &mut tensors, progress)?;
    Ok(Quantization {
        conversion,
        matrices,
    })
}
