//! Models in 8 and 4 bits: against the same numbers held in floating point, on every backend.

use std::{
    fs,
    path::{Path, PathBuf},
};

use glass_backend::{
    Device, Dtype, KernelMode,
    quant::{self, GROUP_SIZE, QuantFormat, groups, words},
};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{Existing, Files, Precision, QuantRecipe, ShardSize, quantize};
use glass_config::LlamaConfig;
use glass_generate::{Error, Llama, LoadOptions};
use glass_testing::devices;
use safetensors::{Dtype as Stored, tensor::TensorView};
use serde_json::{Value, json};

use crate::fixture;

const FIXTURES: [&str; 5] = ["llama-tied", "llama-gqa", "qwen2-bias", "mistral-swa", "llama-sharded"];

/// As stored, or quantized.
pub fn load(folder: &Path, device: &Device, quantize: Option<QuantFormat>) -> Result<Llama, Box<Error>> {
    load_in(folder, device, quantize.map(|format| Precision { quantize: Some(format), ..Dtype::F32.into() }))
}

fn load_in(folder: &Path, device: &Device, precision: Option<Precision>) -> Result<Llama, Box<Error>> {
    let device = device.clone();
    let options = LoadOptions { device, precision, overrides: &[], progress: &mut |_, _| {} };
    Llama::load(folder, options).map_err(Box::new)
}

/// A tensor to be written.
pub struct Written {
    pub name: String,
    pub dtype: Stored,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// A folder with these tensors beside another's config.
pub fn folder(config: &Value, tensors: &[Written]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
        (tensor.name.as_str(), view.expect("a tensor"))
    });
    let bytes = safetensors::serialize(views, None).expect("serialized");
    fs::write(folder.path().join("model.safetensors"), bytes).expect("written");
    folder
}

pub fn config(of: &Path) -> Value {
    serde_json::from_slice(&fs::read(of.join("config.json")).expect("readable")).expect("JSON")
}

pub fn floats(files: &Files, name: &str) -> Vec<f32> {
    let tensor = files.get(name).expect("it is there");
    let mut values = vec![0f32; tensor.shape.iter().product()];
    let from = glass_checkpoint::float(tensor.dtype).expect("a float");
    glass_checkpoint::convert_bytes(tensor.bytes, from, bytemuck::cast_slice_mut(&mut values), Dtype::F32);
    values
}

/// A fixture in which every matrix was rounded to what `bits` can say, in float32.
fn rounded(source: &Path, bits: QuantFormat) -> tempfile::TempDir {
    let files = Files::open(source).expect("a checkpoint");
    let config = config(source);
    let read = LlamaConfig::from_json(&config.to_string(), "config.json", &[]).expect("a config");
    let recipe = QuantRecipe::new(bits, &read);
    let roles = LlamaForCausalLM::weight_roles(&read, &devices::flex()).expect("roles");
    let tensors: Vec<Written> = files
        .names()
        .map(|name| {
            let shape = files.get(name).expect("it is there").shape.to_vec();
            let mut values = floats(&files, name);
            let role = roles.get(name);
            let none = || Ok::<_, std::convert::Infallible>(0.0); // There are no outliers.
            let format = role.and_then(|role| recipe.format_of(role, roles.layer_of(name), none).expect("a format"));
            if let Some(format) = format {
                let quantized = quant::quantize(&values, shape[1], format).expect("finite");
                quant::dequantize(quantized.view(), &mut values);
            }
            Written { name: name.to_owned(), dtype: Stored::F32, shape, bytes: bytemuck::cast_slice(&values).to_vec() }
        })
        .collect();
    folder(&config, &tensors)
}

pub fn quantized(source: &Path, bits: QuantFormat) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().join("quantized");
    let progress = &mut |_, _| std::ops::ControlFlow::Continue(());
    let size = "5GB".parse::<ShardSize>().expect("a size");
    quantize(source, &target, bits, size, Existing::Refuse, progress).expect("quantized");
    (folder, target)
}

/// The same numbers in codes and in float32 make the same logits, but for the rounding of activations to 8 bits where
/// kernels compute with whole numbers.
#[test]
fn codes_are_the_numbers_they_stand_for() {
    for name in FIXTURES {
        let source = fixture::root().join(name);
        let rows = fixture::rows(&fixture::expected(&source)["input_ids"]);
        for bits in [QuantFormat::Int8, QuantFormat::Int4] {
            let reference = rounded(&source, bits);
            let plain = devices::flex().with_kernel_mode(KernelMode::Plain);
            let reference = load(reference.path(), &plain, None).expect("loads");
            let layers = reference.config.layers.len();
            let reference = fixture::forward(&reference, &rows, None);
            let largest = reference["logits"].values.iter().fold(0f32, |max, x| max.max(x.abs()));
            let (_kept, target) = quantized(&source, bits);
            // Asked for in a float type, the folder's matrices are dequantized.
            let float = load_in(&target, &plain, Some(Dtype::F32.into())).expect("loads");
            assert_eq!(float.precision, Dtype::F32.into());
            assert_eq!(fixture::forward(&float, &rows, None)["logits"].values, reference["logits"].values, "{name}");
            for device in devices::all() {
                let whole_numbers = device.name() == "flex" && device.kernel_mode() == KernelMode::Fused;
                // Roundings to 8 bits go either way, so that as many as a pass has (some 15 in a layer) add up to the square
                // root of that; six standard deviations.
                let roundings = 15.0 * layers as f32 + 3.0;
                let allowed = match whole_numbers {
                    true => 6.0 * roundings.sqrt() / 254.0 * largest,
                    false => 2e-4,
                };
                let what = format!("{name} in {bits} bits on {} ({})", device.name(), device.kernel_mode());
                let llama = load(&target, &device, None).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(llama.precision.to_string(), format!("q{bits}"));
                let own = fixture::forward(&llama, &rows, None);
                let off = fixture::difference(&own["logits"], &reference["logits"], 1, None);
                assert!(off <= allowed, "{what}: {off} off, largest {largest}");

                let at_load = load(&source, &device, Some(bits)).expect("loads");
                let at_load = fixture::forward(&at_load, &rows, None);
                assert_eq!(at_load["logits"].values, own["logits"].values, "{what}: --dtype is another model");
            }
        }
    }
}

/// Split matrices, as small adapters ask for them.
#[test]
fn parts_of_a_quantized_matrix() {
    let (_kept, target) = quantized(&fixture::root().join("llama-gqa"), QuantFormat::Int4);
    let rows = [vec![1, 5, 9, 60, 127]];
    for device in devices::all() {
        let whole = load(&target, &device, None).expect("loads");
        let parts = load(&target, &device.clone().with_max_binding(7 * 96 * 4), None).expect("loads");
        let (whole, parts) = (fixture::forward(&whole, &rows, None), fixture::forward(&parts, &rows, None));
        let off = fixture::difference(&whole["logits"], &parts["logits"], 1, None);
        assert!(off <= 2e-5, "{}: {off} off", device.name());
    }
}

#[test]
fn the_folder_says_what_it_is() {
    for (bits, config_groups) in [(QuantFormat::Int8, 1), (QuantFormat::Int4, 2)] {
        let (_kept, target) = quantized(&fixture::root().join("llama-gqa"), bits);
        let written = &config(&target)["quantization_config"];
        assert_eq!(written["quant_method"], json!("compressed-tensors"));
        assert_eq!(written["config_groups"].as_object().map(serde_json::Map::len), Some(config_groups));
        let weights = &written["config_groups"]["group_0"]["weights"];
        assert_eq!(weights["symmetric"], json!(bits == QuantFormat::Int8));
        assert_eq!((&weights["num_bits"], &weights["group_size"]), (&json!(bits.bits()), &json!(GROUP_SIZE)));
        let files = Files::open(&target).expect("a checkpoint");
        let module = "model.layers.0.self_attn.q_proj";
        let codes = files.get(&format!("{module}.weight_packed")).expect("codes");
        assert_eq!(codes.shape, [64, words(48, bits)]); // 4 heads of 16 from 48
        let zeros = files.get(&format!("{module}.weight_zero_point")).map(|tensor| tensor.shape.to_vec());
        assert_eq!(zeros, (bits == QuantFormat::Int4).then(|| vec![8, groups(48)]));
        assert!(files.get(&format!("{module}.weight")).is_none());
        assert!(files.get("model.norm.weight").is_some());
    }
}
