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
use glass_checkpoint::{CheckpointError, ConvertError, Existing, Files, Precision, QuantRecipe, ShardSize, quantize};
use glass_config::LlamaConfig;
use glass_generate::{Error, Llama, LoadOptions};
use glass_testing::devices;
use safetensors::{Dtype as Stored, tensor::TensorView};
use serde_json::{Value, json};

use crate::fixture;

const FIXTURES: [&str; 5] = ["llama-tied", "llama-gqa", "qwen2-bias", "mistral-swa", "llama-sharded"];

/// As stored, or quantized.
fn load(folder: &Path, device: &Device, quantize: Option<QuantFormat>) -> Result<Llama, Box<Error>> {
    load_in(folder, device, quantize.map(|format| Precision { quantize: Some(format), ..Dtype::F32.into() }))
}

fn load_in(folder: &Path, device: &Device, precision: Option<Precision>) -> Result<Llama, Box<Error>> {
    let device = device.clone();
    let options = LoadOptions { device, precision, overrides: &[], progress: &mut |_, _| {} };
    Llama::load(folder, options).map_err(Box::new)
}

/// A tensor to be written.
struct Written {
    name: String,
    dtype: Stored,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// A folder with these tensors beside another's config.
fn folder(config: &Value, tensors: &[Written]) -> tempfile::TempDir {
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

fn config(of: &Path) -> Value {
    serde_json::from_slice(&fs::read(of.join("config.json")).expect("readable")).expect("JSON")
}

fn floats(files: &Files, name: &str) -> Vec<f32> {
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

fn quantized(source: &Path, bits: QuantFormat) -> (tempfile::TempDir, PathBuf) {
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

/// Other writers share a scale among 64 or all numbers of a row, store scales as bfloat16, and end a row with its last code.
/// Zero points lie in words down the columns, or in bytes; without any, zero is in the middle.
#[test]
fn layouts_of_other_writers() {
    let source = fixture::root().join("llama-gqa"); // rows of 48 and 96
    let files = Files::open(&source).expect("a checkpoint");
    let (four, eight) = (QuantFormat::Int4, QuantFormat::Int8);
    let layouts = [
        (four, 64, None),
        (eight, 32, None),
        (eight, usize::MAX, None),
        (four, 32, Some(Stored::I32)),
        (four, 64, Some(Stored::I32)),
        (four, usize::MAX, Some(Stored::I8)),
    ];
    for (bits, group, zero_type) in layouts {
        let (mut coded, mut plain) = (Vec::new(), Vec::new());
        for name in files.names() {
            let shape = files.get(name).expect("it is there").shape.to_vec();
            let values = floats(&files, name);
            let float = |values: &[f32], to: &mut Vec<Written>| {
                to.push(Written {
                    name: name.to_owned(),
                    dtype: Stored::F32,
                    shape: shape.clone(),
                    bytes: bytemuck::cast_slice(values).to_vec(),
                });
            };
            if !name.ends_with("_proj.weight") {
                float(&values, &mut coded);
                float(&values, &mut plain);
                continue;
            }
            let group = group.min(shape[1]);
            let largest = (bits.offset() - 1) as f32;
            let (mut words, mut scales, mut meant) = (Vec::<u32>::new(), Vec::new(), Vec::new());
            let mut zeros = Vec::<i8>::new();
            for row in values.chunks(shape[1]) {
                let mut codes = Vec::new();
                for group in row.chunks(group) {
                    let scale = group.iter().fold(0f32, |max, x| max.max(x.abs())) / largest;
                    let scale = half::bf16::from_f32(scale * 2.02);
                    let zero = if zero_type.is_some() { scales.len() as i32 % 16 - 8 } else { 0 };
                    scales.push(scale);
                    zeros.push(zero as i8);
                    for value in group {
                        let code = (value / scale.to_f32()).round() as i32 + zero;
                        let code = code.clamp(-bits.offset(), bits.offset() - 1);
                        meant.push((code - zero) as f32 * scale.to_f32());
                        codes.push((code + bits.offset()) as u32);
                    }
                }
                words.extend(codes.chunks(bits.per_word()).map(|codes| {
                    let codes = codes.iter().enumerate();
                    codes.fold(0, |word, (i, code)| word | code << (i * bits.bits()))
                }));
            }
            float(&meant, &mut plain);
            let module = name.strip_suffix("weight").expect("a weight");
            let groups = shape[1].div_ceil(group);
            coded.push(Written {
                name: format!("{module}weight_packed"),
                dtype: Stored::I32,
                shape: vec![shape[0], words.len() / shape[0]],
                bytes: bytemuck::cast_slice(&words).to_vec(),
            });
            coded.push(Written {
                name: format!("{module}weight_scale"),
                dtype: Stored::BF16,
                shape: vec![shape[0], groups],
                bytes: scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
            });
            let rows_of_words = shape[0].div_ceil(8);
            let zero_points = match zero_type {
                None => continue,
                Some(Stored::I8) => (vec![shape[0], groups], bytemuck::cast_slice(&zeros).to_vec()),
                Some(_) => {
                    let mut words = vec![0u32; rows_of_words * groups];
                    for (at, zero) in zeros.iter().enumerate() {
                        let (row, group) = (at / groups, at % groups);
                        words[row / 8 * groups + group] |= ((i32::from(*zero) + 8) as u32) << (row % 8 * 4);
                    }
                    (vec![rows_of_words, groups], bytemuck::cast_slice(&words).to_vec())
                }
            };
            let name = format!("{module}weight_zero_point");
            let dtype = zero_type.expect("there are some");
            coded.push(Written { name, dtype, shape: zero_points.0, bytes: zero_points.1 });
        }
        let config = config(&source);
        let (coded, plain) = (folder(&config, &coded), folder(&config, &plain));
        let device = devices::flex().with_kernel_mode(KernelMode::Plain);
        let rows = [vec![3, 1, 4, 1, 5, 92, 65]];
        let coded = fixture::forward(&load(coded.path(), &device, None).expect("loads"), &rows, None);
        let plain = fixture::forward(&load(plain.path(), &device, None).expect("loads"), &rows, None);
        let off = fixture::difference(&coded["logits"], &plain["logits"], 1, None);
        assert!(off <= 1e-4, "{bits} bits, groups of {group}, zero points {zero_type:?}: {off} off");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (_four, four) = quantized(&fixture::root().join("llama-gqa"), QuantFormat::Int4);
    let (_kept, target) = quantized(&fixture::root().join("llama-gqa"), QuantFormat::Int8);
    let name = "model.layers.0.mlp.down_proj.weight";
    let all = |files: &Files| -> Vec<Written> {
        files
            .names()
            .map(|name| {
                let tensor = files.get(name).expect("it is there");
                Written {
                    name: name.to_owned(),
                    dtype: tensor.dtype,
                    shape: tensor.shape.to_vec(),
                    bytes: tensor.bytes.to_vec(),
                }
            })
            .collect()
    };
    let refused_of = |target: &Path, config: &Value, change: &dyn Fn(&mut Vec<Written>)| {
        let mut tensors = all(&Files::open(target).expect("a checkpoint"));
        change(&mut tensors);
        let folder = folder(config, &tensors);
        let error = load(folder.path(), &devices::flex(), None).err().expect("it is broken").to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    let refused = |change: &dyn Fn(&mut Vec<Written>)| refused_of(&target, &config(&target), change);
    let part = |part: &str| format!("{name}_{part}");
    let find = |tensors: &mut Vec<Written>, wanted: &str| {
        tensors.iter().position(|tensor| tensor.name == wanted).expect("it is there")
    };

    let error = refused(&|tensors| {
        let at = find(tensors, &part("scale"));
        tensors.remove(at);
    });
    assert!(error.contains("weight_scale is missing"), "{error}");
    let error = refused(&|tensors| {
        let at = find(tensors, &part("shape"));
        tensors[at].bytes[0] ^= 1;
    });
    assert!(error.contains("weight_shape does not say [48, 96]"), "{error}");
    let error = refused(&|tensors| {
        let at = find(tensors, &part("packed"));
        tensors[at].shape[1] /= 3;
        tensors[at].shape[0] *= 3;
    });
    assert!(error.contains("does not make [48, 96]"), "{error}");
    let error = refused(&|tensors| {
        tensors.push(Written {
            name: name.to_owned(),
            dtype: Stored::F32,
            shape: vec![48, 96],
            bytes: vec![0; 48 * 96 * 4],
        });
    });
    assert!(error.contains("is there twice"), "{error}");

    // Scales are held in float16: what that rounds is told.
    for (scale, told) in [(0.0123f32, true), (0.125, false)] {
        let mut tensors = all(&Files::open(&target).expect("a checkpoint"));
        let at = find(&mut tensors, &part("scale"));
        tensors[at].dtype = Stored::F32;
        tensors[at].bytes = scale.to_le_bytes().repeat(tensors[at].shape.iter().product());
        let folder = folder(&config(&target), &tensors);
        let warnings = load(folder.path(), &devices::flex(), None).expect("loads").warnings;
        let warned = warnings.iter().any(|warning| warning.contains("scales of 1 matrix are stored as F32"));
        assert_eq!(warned, told, "{scale}: {warnings:?}");
    }

    // Zero points: none in 8 bits; of the scales' shape; within 4 bits; as the config says.
    let zero_points = |dtype, shape: [usize; 2], byte| {
        let bytes = vec![byte; shape.iter().product::<usize>() * if dtype == Stored::I8 { 1 } else { 4 }];
        Written { name: part("zero_point"), dtype, shape: shape.to_vec(), bytes }
    };
    let error = refused(&|tensors| tensors.push(zero_points(Stored::I32, [6, 3], 0x88)));
    assert!(error.contains("zero points are read in 4 bits only"), "{error}");
    let of_four = |dtype, shape, byte| {
        refused_of(&four, &config(&four), &|tensors| {
            let at = find(tensors, &part("zero_point"));
            tensors[at] = zero_points(dtype, shape, byte);
        })
    };
    let error = of_four(Stored::I32, [48, 3], 0x88);
    assert!(error.contains("weight_zero_point has the shape [48, 3], where [6, 3] belongs"), "{error}");
    let error = of_four(Stored::F32, [6, 3], 0);
    assert!(error.contains("is stored as F32, where I32 or I8 is read"), "{error}");
    let error = of_four(Stored::I8, [48, 3], 8);
    assert!(error.contains("holds 8, where 4 bits are -8 to 7"), "{error}");
    let error = refused_of(&four, &config(&four), &|tensors| {
        let at = find(tensors, &part("zero_point"));
        tensors.remove(at);
    });
    assert!(error.contains("has no zero points, but the config says symmetric = false of 4 bits"), "{error}");
    let mut symmetric = config(&four);
    symmetric["quantization_config"]["config_groups"]["group_0"]["weights"]["symmetric"] = json!(true);
    let error = refused_of(&four, &symmetric, &|_| {});
    assert!(error.contains("has zero points, but the config says symmetric = true of 4 bits"), "{error}");

    let error = load(&target, &devices::flex(), Some(QuantFormat::Int4)).err();
    assert!(matches!(error.as_deref(), Some(Error::Checkpoint(CheckpointError::Quantized(_)))));
    let progress = &mut |_, _| std::ops::ControlFlow::Continue(());
    let again = tempfile::tempdir().expect("a temporary folder");
    let size = "5GB".parse::<ShardSize>().expect("a size");
    let error = quantize(&target, &again.path().join("x"), QuantFormat::Int4, size, Existing::Refuse, progress)
        .expect_err("it is quantized");
    assert!(matches!(error, ConvertError::Checkpoint(CheckpointError::Quantized(_))), "{error}");
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
