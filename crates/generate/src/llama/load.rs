//! The weights of a model, from the files that hold them, in the precision that is asked for.

use std::{collections::BTreeSet, path::Path};

use glass_backend::{Device, Dtype, KernelMode, WeightSource, Weights, quant::BlockFormat};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{
    CheckpointError, CheckpointSource, Files, GgufSource, Precision, QuantRecipe, QuantizeOnLoad, own_head,
};
use glass_config::LlamaConfig;
use glass_gguf::Gguf;

use crate::Error;

pub struct Loaded {
    pub model: LlamaForCausalLM,
    pub precision: Precision,
    pub warnings: Vec<String>,
}

/// Told the bytes read so far and the bytes in all.
type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Loads safetensors. Where they show that the config is wrong about the head, it is put right.
pub fn files(
    (folder, files): (&Path, &Files),
    config: &mut LlamaConfig,
    device: &Device,
    precision: Option<Precision>,
    progress: Progress<'_>,
) -> Result<Loaded, Error> {
    let own_head = own_head(files, config);
    let stored = Precision::stored(files, config);
    let (precision, next_best) = precision.map_or_else(|| stored.on(device), |precision| (precision, None));
    if precision.blocks.is_some() {
        return Err(Error::NotInBlocks { folder: folder.to_owned(), asked: precision });
    }
    let Precision { quantize, fake_quantize, .. } = precision;
    let mut add = summed(files.total_bytes(), progress);
    let mut source = CheckpointSource::new(files, config, &mut add);
    source.dequantize = stored.quantize.is_some() && (quantize.is_none() || fake_quantize);
    if quantize.is_some() && stored.quantize.is_some() && quantize != stored.quantize {
        return Err(CheckpointError::Quantized(folder.to_owned()).into());
    }
    let on_load = if stored.quantize.is_none() { precision } else { precision.dtype.into() };
    let model = load(&mut source, config, device, on_load)?;
    source.check_zero_points(config.quantization_config.as_ref())?;
    let mut warnings = source.finish()?;
    warnings.extend(own_head);
    warnings.extend(next_best);
    Ok(Loaded { model, precision, warnings })
}

/// Loads a GGUF file.
pub fn gguf(
    (path, file): (&Path, &Gguf),
    config: &LlamaConfig,
    device: &Device,
    precision: Option<Precision>,
    progress: Progress<'_>,
) -> Result<Loaded, Error> {
    let stored = Precision::stored_in_gguf(file);
    let (precision, next_best) = precision.map_or_else(|| as_stored(stored, device), |precision| (precision, None));
    let other_blocks = precision.blocks.is_some() && precision.blocks != stored.blocks;
    if other_blocks || precision.quantize.is_some() && stored.blocks.is_some() {
        return Err(Error::OtherBlocks { path: path.to_owned(), stored, asked: precision });
    }
    let stays = precision.blocks.is_some() && !precision.fake_quantize;
    let formats: BTreeSet<BlockFormat> = file.tensors().filter_map(|tensor| tensor.ty.block_format()).collect();
    let (keep, rest): (Vec<_>, Vec<_>) =
        formats.into_iter().partition(|format| stays && device.kernel_set().multiplies(*format));
    let mut add = summed(file.total_bytes(), progress);
    let mut source = GgufSource::new(file, config, keep, &mut add);
    let model = load(&mut source, config, device, precision)?;
    let mut warnings = source.finish()?;
    warnings.extend(next_best);
    if stays && !rest.is_empty() {
        let rest: Vec<&str> = rest.iter().map(|format| format.name()).collect();
        warnings.push(format!(
            "{} has no kernels here for matrices in {}: they are dequantized while they are read, and held in {}",
            device.name(),
            rest.join(", "),
            precision.dtype
        ));
    }
    Ok(Loaded { model, precision, warnings })
}

/// What a GGUF file is held in where nobody says. Norms are in float32 in all of these files, and llama.cpp computes in it: plain
/// kernels do so too, whatever the matrices are in.
fn as_stored(stored: Precision, device: &Device) -> (Precision, Option<String>) {
    match device.kernel_mode() {
        KernelMode::Plain if stored.blocks.is_none() && stored.dtype != Dtype::F32 => {
            let line = format!(
                "the weights are stored in {stored}: plain kernels hold them in f32 (--dtype {stored} insists)"
            );
            (Dtype::F32.into(), Some(line))
        }
        _ => stored.on(device),
    }
}

/// What `source` has, quantized on the way where `precision` says so.
fn load(
    source: &mut dyn WeightSource,
    config: &LlamaConfig,
    device: &Device,
    precision: Precision,
) -> Result<LlamaForCausalLM, Error> {
    let dtype = precision.dtype;
    Ok(match precision.quantize {
        Some(format) => {
            let mut quantized = QuantizeOnLoad::new(source, QuantRecipe::new(format, config));
            quantized.fake_quantize = precision.fake_quantize;
            LlamaForCausalLM::load(Weights::new(&mut quantized, device, dtype), config)?
        }
        None => LlamaForCausalLM::load(Weights::new(source, device, dtype), config)?,
    })
}

/// Sums up what is read.
fn summed(total: u64, progress: Progress<'_>) -> impl FnMut(u64) {
    let mut read = 0;
    move |bytes| {
        read += bytes;
        progress(read, total);
    }
}
