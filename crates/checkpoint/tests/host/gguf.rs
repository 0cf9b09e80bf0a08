//! Folders as GGUF files, and back.

use std::{fs::File, io::Write, ops::ControlFlow, path::Path};

use glass_backend::{Device, Dtype, WeightRoles, WeightSource, WeightSpec, quant::BlockFormat};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{CheckpointSource, Files, GgufFormat, GgufModel, GgufSource, GgufWriteError};
use glass_config::LlamaConfig;
use glass_gguf::{GgmlType, Gguf, Metadata};
use glass_testing::fixtures;
use serde_json::{Value, json};

/// Writes `folder` to `file`, as `glass quantize` does.
fn write(folder: &Path, format: &str, file: &Path) -> Result<GgufModel, GgufWriteError> {
    let model = GgufModel::open(folder)?;
    let mut keys = Metadata::new(file);
    keys.insert("general.name", "a name");
    let plan = model.plan(GgufFormat::from_name(format).expect(format), &keys)?;
    let bytes = plan.bytes();
    let mut out = File::create(file).expect("a file");
    let mut last = 0;
    plan.write(&mut out, &mut |written| {
        assert!(written > last && written <= bytes);
        last = written;
        ControlFlow::Continue(())
    })?;
    out.flush().expect("written");
    assert_eq!(out.metadata().expect("metadata").len(), bytes);
    model.check(&Gguf::open(file)?)?;
    Ok(model)
}

fn values(source: &mut dyn WeightSource, roles: &WeightRoles, name: &str) -> Vec<f32> {
    let (_, role, shape) = roles.iter().find(|(known, ..)| *known == name).expect(name);
    let weight = WeightSpec { name, shape, role, layer: roles.layer_of(name) };
    source.read(weight, 0..weight.rows(), Dtype::F32).expect(name).iter::<f32>().collect()
}

/// Calls with the name of each weight, and its values in the folder and in the file.
fn each_weight(folder: &Path, file: &Path, mut call: impl FnMut(&str, &[f32], &[f32])) {
    let (files, gguf) = (Files::open(folder).expect("files"), Gguf::open(file).expect("a GGUF file"));
    let config = LlamaConfig::from_file(&folder.join("config.json"), &[]).expect("a config");
    let roles = LlamaForCausalLM::weight_roles(&config, &Device::open("flex").expect("flex")).expect("roles");
    let read = LlamaConfig::from_gguf(&gguf, &[]).expect("the config of the file");
    let (mut ignored, mut progress) = (|_| {}, |_| {});
    let mut before = CheckpointSource::new(&files, &config, &mut ignored);
    let mut after = GgufSource::new(&gguf, &read, Vec::new(), &mut progress);
    for (name, ..) in roles.iter() {
        call(name, &values(&mut before, &roles, name), &values(&mut after, &roles, name));
    }
    after.finish().expect("all is used");
}

/// Every fixture: those that GGUF has words for keep their config and every number; the others are refused in one line.
#[test]
fn a_folder_is_the_same_model_as_a_gguf_file() {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("x.gguf");
    let mut written = Vec::new();
    for folder in fixtures::all().into_iter().chain(fixtures::families()) {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        match write(&folder, "f32", &file) {
            Ok(_) => {
                each_weight(&folder, &file, |weight, before, after| {
                    assert_eq!(before.len(), after.len(), "{name}: {weight}");
                    let worst = before.iter().zip(after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    // Of 1 + w the file keeps what float32 keeps.
                    let bound = if name.starts_with("gemma") && weight.ends_with("norm.weight") { 1e-7 } else { 0.0 };
                    assert!(worst <= bound, "{name}: {weight} is off by {worst}");
                });
                written.push(name);
            }
            Err(error) => {
                let line = error.to_string();
                assert!(line.contains("GGUF") && !line.contains('\n'), "{name}: {line}");
                println!("{line}");
            }
        }
    }
    for expected in [
        "exaone4",
        "gemma",
        "gpt_oss",
        "granite",
        "mixtral",
        "olmo2",
        "olmo3",
        "phi3",
        "qwen3",
        "qwen3_moe",
        "llama-gqa",
        "llama-rope-llama3",
        "llama-rope-linear",
        "mistral-swa",
        "qwen2-bias",
        "extra-yarn",
        "extra-longrope-long",
    ] {
        assert!(written.iter().any(|name| name == expected), "{expected} is not written, only {written:?}");
    }
}

/// What GGUF has no words for is refused, and where the model is as it is taken there, it is written.
#[test]
fn what_files_take_for_granted_is_asked_for() {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("x.gguf");
    for (family, what, field, value) in [
        ("gemma2", "the scale of its scores", "query_pre_attn_scalar", json!(null)),
        ("gemma3_text", "the scale of its scores", "query_pre_attn_scalar", json!(null)),
        ("smollm3", "whether it rotates", "no_rope_layers", json!([1, 1, 1, 0])),
    ] {
        let folder = fixtures::root().join("families").join(family);
        let line = write(&folder, "f32", &file).map(|_| ()).expect_err(family).to_string();
        assert!(line.contains(what), "{family}: {line}");
        let text = std::fs::read_to_string(folder.join("config.json")).expect("text");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        let layers = config["num_hidden_layers"].as_u64().expect("a number") as usize;
        config[field] = match value {
            Value::Array(each) => each.into_iter().cycle().take(layers).collect(),
            _ => config["head_dim"].clone(),
        };
        std::fs::write(scratch.path().join("config.json"), config.to_string()).expect("written");
        std::fs::copy(folder.join("model.safetensors"), scratch.path().join("model.safetensors")).expect("copied");
        write(scratch.path(), "f32", &file).expect(family);
        each_weight(scratch.path(), &file, |weight, before, after| {
            let same = before.iter().zip(after).all(|(before, after)| (before - after).abs() <= 1e-7);
            assert!(same, "{family}: {weight}");
        });
    }
}

#[test]
fn chunks_of_positions_have_no_key() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = fixtures::root().join("llama-bf16");
    let text = std::fs::read_to_string(folder.join("config.json")).expect("text");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["dual_chunk_attention_config"] = json!({"chunk_size": 8, "local_size": 2});
    std::fs::write(scratch.path().join("config.json"), config.to_string()).expect("written");
    std::fs::copy(folder.join("model.safetensors"), scratch.path().join("model.safetensors")).expect("copied");
    let line =
        write(scratch.path(), "f32", &scratch.path().join("x.gguf")).map(|_| ()).expect_err("no key").to_string();
    assert!(line.contains("no words for layer 0 (its chunks of positions)"), "{line}");
}

#[test]
fn numbers_of_16_bits_are_kept() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (folder, file) = (fixtures::root().join("llama-bf16"), scratch.path().join("x.gguf"));
    write(&folder, "bf16", &file).expect("written");
    each_weight(&folder, &file, |name, before, after| assert_eq!(before, after, "{name}"));
    let gguf = Gguf::open(&file).expect("a file");
    for tensor in gguf.tensors() {
        let expected = if tensor.shape.len() > 1 { GgmlType::Bf16 } else { GgmlType::F32 };
        assert_eq!(tensor.ty, expected, "{}", tensor.name);
    }
    let metadata = gguf.metadata();
    assert_eq!(metadata.u64("general.file_type").expect("a number"), Some(32));
    assert_eq!(metadata.string("general.name").expect("text"), Some("a name"));
}

/// In blocks, most of 256 numbers; the outputs of its MLPs have rows of 672, which are whole blocks of 32 only.
#[test]
fn matrices_are_in_blocks_and_close() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = fixtures::root().join("../../../weights/shakespeare-full");
    let file = scratch.path().join("x.gguf");
    for (format, expected, shorter, most) in [
        ("q8_0", BlockFormat::Q8_0, BlockFormat::Q8_0, 1e-4),
        ("q6_k", BlockFormat::Q6K, BlockFormat::Q8_0, 4e-4),
        ("q5_k_m", BlockFormat::Q5K, BlockFormat::Q5_1, 2e-3),
        ("q4_k_m", BlockFormat::Q4K, BlockFormat::Q5_0, 6e-3),
        ("q4_0", BlockFormat::Q4_0, BlockFormat::Q4_0, 8e-3),
        ("iq4_xs", BlockFormat::Iq4Xs, BlockFormat::Iq4Nl, 7e-3),
    ] {
        write(&folder, format, &file).expect("written");
        let gguf = Gguf::open(&file).expect("a file");
        for (name, expected) in [("blk.1.ffn_gate.weight", expected), ("blk.1.ffn_down.weight", shorter)] {
            let tensor = gguf.get(name).expect(name);
            assert_eq!(tensor.ty.block_format(), Some(expected), "{format}: {name}");
        }
        each_weight(&folder, &file, |name, before, after| {
            let squares = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|x| f64::from(x).powi(2)).sum::<f64>();
            let error = squares(&mut before.iter().zip(after).map(|(a, b)| a - b));
            let all = squares(&mut before.iter().copied());
            assert!(error <= most * all, "{format}: {name} has lost {}", error / all);
            assert!(error > 0.0 || name.contains("norm"), "{format}: {name} is not quantized");
        });
    }
}

#[test]
fn a_number_that_is_none_is_named() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = fixtures::root().join("llama-gqa");
    let file = scratch.path().join("x.gguf");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(folder.join(name), scratch.path().join(name)).expect("copied");
    }
    let (path, name) = (scratch.path().join("model.safetensors"), "model.layers.0.mlp.down_proj.weight");
    let mut bytes = std::fs::read(&path).expect("bytes");
    let place = {
        let files = Files::open(scratch.path()).expect("files");
        files.get(name).expect(name).bytes.to_vec()
    };
    let at = bytes.windows(place.len()).position(|window| window == place).expect("it is there") + 4 * 37;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    let error = write(scratch.path(), "q4_0", &file).map(|_| ()).expect_err("NaN has no quant").to_string();
    assert!(error.contains("blk.0.ffn_down.weight") && error.contains("number 37 is NaN"), "{error}");
}
