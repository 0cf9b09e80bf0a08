//! A model folder written again with its matrices in 8 or 4 bits.

use std::path::Path;

use glass_backend::{Device, quant::QuantFormat};
use glass_causal_lm::LlamaForCausalLM;
use glass_config::{LlamaConfig, Stored, config_text};

use crate::{
    CheckpointError, Conversion, ConvertError, Existing, Files, QuantRecipe, QuantizedTensors, SaveProgress, ShardSize,
    convert::rewrite, own_head, quant_recipe::config_of,
};

/// What became of a folder.
#[derive(Debug)]
pub struct Quantization {
    pub conversion: Conversion,
    /// How many matrices have this format now, the fewest bits first.
    pub matrices: Vec<(QuantFormat, usize)>,
}

/// Writes the model in `folder` to `target`, which is treated as by [`convert`](crate::convert), with its matrices
/// quantized by [`QuantRecipe`]; everything else keeps its type. `config.json` says so in the words of compressed-tensors, so that
/// others read the folder too where every row is a multiple of 32 long.
///
/// # Errors
/// The source cannot be read, is quantized already or has numbers that are not finite; the target cannot be written.
pub fn quantize(
    folder: &Path,
    target: &Path,
    format: QuantFormat,
    max_shard_size: ShardSize,
    existing: Existing,
    progress: SaveProgress<'_>,
) -> Result<Quantization, ConvertError> {
    let files = Files::open(folder)?;
    let file = folder.join("config.json");
    let mut config = LlamaConfig::from_file(&file, &[])?;
    let own_head = own_head(&files, &mut config);
    if config.quantization_config.is_some() {
        return Err(CheckpointError::Quantized(folder.to_owned()).into());
    }
    let recipe = QuantRecipe::new(format, &config);
    // Nothing is computed: the device only has to be there.
    let roles = LlamaForCausalLM::weight_roles(&config, &Device::open("flex")?)?;
    let mut tensors = QuantizedTensors::new(&files, recipe, &roles, &config);
    let text = config_text(&file, Stored::Quantized(&config_of(tensors.matrices())), own_head.is_some())?;
    let count = |format| {
        let matrices = tensors.matrices().filter(|(_, of)| *of == format);
        (format, matrices.count())
    };
    let mut matrices = vec![count(QuantFormat::Int4), count(QuantFormat::Int8)];
    matrices.retain(|(_, count)| *count > 0);

    let written = (max_shard_size, existing, progress);
    let mut conversion = rewrite(folder, target, &files, &text, &mut tensors, written)?;
    conversion.warnings.extend(own_head);
    Ok(Quantization { conversion, matrices })
}
