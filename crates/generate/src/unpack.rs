//! A GGUF file as a folder in the Hugging Face layout.

use std::path::Path;

use glass_backend::{Device, Dtype};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{
    Conversion, ConvertError, ConvertOptions, FamilyTensors, GgufSource, Precision, Saving, WeightTensors, remove_stale,
};
use glass_config::LlamaConfig;
use glass_gguf::Gguf;
use glass_text::gguf::{tokenizer_config_json, tokenizer_json};
use serde_json::Value;

use crate::{Error, generation_config::gguf_fields};

/// Writes the model in a GGUF file to the folder `target`: weights under the names and in the layout of the model's family,
/// config, generation config, tokenizer, chat template. Nothing is left behind if it does not succeed.
///
/// Without [`dtype`](ConvertOptions::dtype), floats keep their type, and matrices in blocks become the float32 numbers that
/// they stand for. Norms, which such files always hold in float32, are written as the matrices are if that rounds none of
/// them.
///
/// # Errors
/// The file cannot be read, or the target cannot be written.
pub fn unpack(file: &Gguf, target: &Path, options: ConvertOptions<'_>) -> Result<Conversion, Error> {
    let mut config = LlamaConfig::from_gguf(file, &[])?;
    let dtype = options.dtype.unwrap_or(Precision::stored_in_gguf(file).dtype);
    config.dtype = Some(match dtype {
        Dtype::F32 => glass_config::Dtype::Float32,
        Dtype::F16 => glass_config::Dtype::Float16,
        Dtype::BF16 => glass_config::Dtype::BFloat16,
    });
    // Nothing is computed: the device only has to be there.
    let roles = LlamaForCausalLM::weight_roles(&config, &Device::open("flex")?)?;

    let failed = |error| Error::Convert(Box::new(error));
    let save = |error| failed(ConvertError::Save(error));
    let mut saving = Saving::begin(target, options.existing).map_err(save)?;
    let mut write = |name: &str, json: &Value| {
        let text = glass_json::file_text(json);
        saving.write(name, text.as_bytes()).map_err(save)
    };
    write("config.json", &config.to_json())?;
    write("generation_config.json", &Value::Object(gguf_fields(file)?))?;
    let mut written = vec!["generation_config.json"];
    if let Some(tokenizer) = tokenizer_json(file.metadata())? {
        write("tokenizer.json", &tokenizer)?;
        write("tokenizer_config.json", &tokenizer_config_json(file.metadata())?)?;
        written.extend(["tokenizer.json", "tokenizer_config.json"]);
    }
    let mut unseen = |_| {};
    let mut source = GgufSource::new(file, &config, Vec::new(), &mut unseen);
    let weights = WeightTensors::new(&mut source, &roles, (dtype, options.dtype.is_none()))?;
    let mut tensors = FamilyTensors::new(weights, &config);
    let done = saving.write_tensors(&mut tensors, options.max_shard_size, options.progress).map_err(save)?;
    let warnings = source.finish()?;
    saving.finish().map_err(save)?;
    remove_stale(target, &written).map_err(save)?;
    Ok(Conversion { written: done, left_out: Vec::new(), warnings })
}
