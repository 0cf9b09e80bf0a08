//! Folders written again: what was loaded is what is saved.

mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use glass_backend::Dtype;
use glass_checkpoint::{Conversion, ConvertOptions, Existing, Files, convert, convert_bytes, float, stored};
use glass_testing::fixtures;
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

fn try_convert(folder: &Path, target: &Path, dtype: Option<Dtype>, size: &str) -> Result<Conversion, String> {
    let options = ConvertOptions {
        existing: Existing::Refuse,
        dtype,
        max_shard_size: size.parse().unwrap(),
        progress: &mut |_, _| ControlFlow::Continue(()),
    };
    convert(folder, target, options).map_err(|error| error.to_string())
}

fn converted(folder: &Path, target: &Path, dtype: Option<Dtype>, size: &str) -> Conversion {
    try_convert(folder, target, dtype, size).unwrap()
}

/// Type, shape and bytes of every tensor.
type Tensors = BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>;

fn tensors(folder: &Path) -> Tensors {
    let files = Files::open(folder).unwrap();
    assert!(files.warnings().is_empty());
    files
        .names()
        .map(|name| {
            let tensor = files.get(name).unwrap();
            let parts = (tensor.dtype, tensor.shape.to_vec(), tensor.bytes.to_vec());
            (name.to_owned(), parts)
        })
        .collect()
}

/// A model folder with these tensors in `model.safetensors`.
fn model(tensors: &[(&str, safetensors::Dtype, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let views = tensors.iter().map(|(name, dtype, bytes)| {
        let shape = vec![bytes.len() * 8 / dtype.bitsize()];
        (*name, TensorView::new(*dtype, shape, bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    fs::write(folder.path().join("config.json"), "{}").unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What `model.safetensors.index.json` must say about the shards beside it, and the shards about themselves.
fn check_index(folder: &Path, max: u64, files: &[String]) {
    let text = fs::read_to_string(folder.join("model.safetensors.index.json")).unwrap();
    let index: Value = serde_json::from_str(&text).unwrap();
    let (mut weight_map, mut size, mut parameters) = (BTreeMap::new(), 0, 0);
    for (number, name) in files.iter().enumerate() {
        assert_eq!(*name, format!("model-{:05}-of-{:05}.safetensors", number + 1, files.len()));
        let bytes = fs::read(folder.join(name)).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let format = metadata.metadata().as_ref().unwrap();
        assert_eq!(format["format"], "pt");
        let shard = SafeTensors::deserialize(&bytes).unwrap();
        let mut shard_size = 0;
        for (tensor, view) in shard.iter() {
            shard_size += view.data().len() as u64;
            parameters += view.shape().iter().product::<usize>();
            weight_map.insert(tensor.to_owned(), json!(name));
        }
        assert!(shard_size <= max || shard.len() == 1, "{name}");
        size += shard_size;
    }
    let wanted = json!({
        "metadata": { "total_parameters": parameters, "total_size": size },
        "weight_map": weight_map,
    });
    assert_eq!(text, format!("{wanted:#}\n"));
    assert_eq!(index["weight_map"].as_object().unwrap().len(), weight_map.len());
}

#[test]
fn every_fixture_saved_again_is_the_same_bit_for_bit() {
    for folder in fixtures::all() {
        let before = tensors(&folder);
        let total: u64 = before.values().map(|(.., bytes)| bytes.len() as u64).sum();
        for (size, max) in [("1B", 1), ("10KB", 10_000), ("64KiB", 65_536), ("5GB", total)] {
            let parent = TempDir::new().unwrap();
            let target = parent.path().join("saved");
            let done = converted(&folder, &target, None, size);
            assert!(tensors(&target) == before, "{} at {size}", folder.display());
            assert_eq!((done.written.tensors, done.written.bytes), (before.len(), total));
            match max {
                1 => assert_eq!(done.written.files.len(), before.len()),
                _ if max == total => assert_eq!(done.written.files, ["model.safetensors"]),
                _ => assert!(done.written.files.len() > 1),
            }
            let mut wanted = done.written.files.clone();
            wanted.extend(["config.json", "generation_config.json"].map(str::to_owned));
            if done.written.files.len() > 1 {
                check_index(&target, max, &done.written.files);
                wanted.push("model.safetensors.index.json".to_owned());
            }
            wanted.sort();
            assert_eq!(names(&target), wanted);
            for name in ["config.json", "generation_config.json"] {
                let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
                assert_eq!(read(&target), read(&folder));
            }
        }
    }
}

#[test]
fn conversion_rounds_once_and_widening_loses_nothing() {
    for folder in fixtures::all() {
        let before = tensors(&folder);
        for narrow in [Dtype::BF16, Dtype::F16] {
            let parent = TempDir::new().unwrap();
            let [first, wide, again] = ["first", "wide", "again"].map(|n| parent.path().join(n));
            let done = converted(&folder, &first, Some(narrow), "20KB");
            assert_eq!(done.warnings, Vec::<String>::new());
            assert!(done.written.dtypes.iter().eq([&stored(narrow)]));
            for (name, (dtype, shape, bytes)) in tensors(&first) {
                let (old, old_shape, old_bytes) = &before[&name];
                let old = float(*old).unwrap();
                let mut rounded = vec![0; old_bytes.len() / old.bytes() * 2];
                convert_bytes(old_bytes, old, &mut rounded, narrow);
                assert!((dtype, &shape, bytes) == (stored(narrow), old_shape, rounded));
            }
            converted(&first, &wide, Some(Dtype::F32), "5GB");
            converted(&wide, &again, Some(narrow), "5GB");
            assert!(tensors(&again) == tensors(&first));
            let config = fs::read_to_string(wide.join("config.json")).unwrap();
            assert!(config.contains("\"dtype\": \"float32\""), "{config}");
        }
    }
}

#[test]
fn tokenizer_and_chat_template_are_copied_byte_for_byte_and_the_rest_is_named() {
    let folder = model(&[("a", safetensors::Dtype::F32, &[0; 8])]);
    let copied = [
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "tokenizer.model",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
    ];
    for name in copied {
        fs::write(folder.path().join(name), format!("{name}\r\n\0")).unwrap();
    }
    for name in ["README.md", "consolidated.safetensors", ".gitattributes"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    // Inside the source, and not named as a part of it.
    let target = folder.path().join("half");
    let done = converted(folder.path(), &target, Some(Dtype::F16), "5GB");
    for name in copied {
        let bytes = fs::read(target.join(name)).unwrap();
        assert_eq!(bytes, format!("{name}\r\n\0").as_bytes());
    }
    assert_eq!(done.left_out, ["README.md", "consolidated.safetensors"]);
    assert_eq!(names(&target).len(), copied.len() + 2);
    let config = fs::read_to_string(target.join("config.json")).unwrap();
    assert_eq!(config, "{\n  \"torch_dtype\": \"float16\"\n}\n");
}

#[test]
fn values_that_overflow_are_counted_per_tensor() {
    let values = [1.0_f32, 65504.0, 65520.0, -1e9, f32::INFINITY, f32::MAX];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let folder = model(&[("big", safetensors::Dtype::F32, &bytes), ("small", safetensors::Dtype::F32, &bytes[..8])]);
    for (dtype, count) in [(Dtype::F16, 3), (Dtype::BF16, 1)] {
        let target = TempDir::new().unwrap();
        let done = converted(folder.path(), target.path(), Some(dtype), "5GB");
        let warning = format!("{count} values of big are too large for {dtype} and became infinite: use --dtype f32");
        assert_eq!(done.warnings, [warning]);
    }
}

#[test]
fn types_that_are_not_converted_are_kept_or_refused() {
    let folder = model(&[
        ("ids", safetensors::Dtype::I64, &[1; 16]),
        ("half", safetensors::Dtype::BF16, &[2, 3]),
        ("mask", safetensors::Dtype::BOOL, &[1, 0, 1]),
        ("tiny", safetensors::Dtype::F8_E4M3, &[9]),
    ]);
    let target = TempDir::new().unwrap();
    let done = converted(folder.path(), target.path(), None, "5GB");
    assert!(tensors(target.path()) == tensors(folder.path()));
    assert_eq!(done.written.dtypes.len(), 4);

    let target = TempDir::new().unwrap();
    let error = try_convert(folder.path(), target.path(), Some(Dtype::F32), "5GB").unwrap_err();
    for word in ["model.safetensors", "\"ids\"", "I64", "f32", "leave --dtype out"] {
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(names(target.path()), Vec::<String>::new());
}

/// What is no weight keeps its type, and float64 is a float like the others.
#[test]
fn buffers_keep_their_types_and_float64_is_rounded() {
    let third = (1.0f64 / 3.0).to_le_bytes();
    let folder = model(&[
        ("model.layers.0.attn.masked_bias", safetensors::Dtype::BOOL, &[1]),
        ("model.embed_tokens.position_ids", safetensors::Dtype::I64, &[1; 8]),
        ("model.norm.weight", safetensors::Dtype::F64, &third),
    ]);
    let target = TempDir::new().unwrap();
    let done = converted(folder.path(), target.path(), Some(Dtype::F32), "5GB");
    assert_eq!(done.warnings, Vec::<String>::new());
    let after = tensors(target.path());
    let dtypes: Vec<_> = after.values().map(|(dtype, ..)| *dtype).collect();
    assert_eq!(dtypes, [safetensors::Dtype::I64, safetensors::Dtype::BOOL, safetensors::Dtype::F32]);
    assert_eq!(after["model.norm.weight"].2, (1.0f32 / 3.0).to_le_bytes());
}

/// Wherever the files mix types, each tensor begins at a multiple of its elements' size.
#[test]
fn tensors_are_aligned_for_their_type() {
    let folder = model(&[
        ("a", safetensors::Dtype::U8, &[1, 2, 3]),
        ("b", safetensors::Dtype::F64, &[4; 16]),
        ("c", safetensors::Dtype::F16, &[5; 6]),
        ("d", safetensors::Dtype::F32, &[6; 12]),
    ]);
    let target = TempDir::new().unwrap();
    converted(folder.path(), target.path(), None, "5GB");
    let files = Files::open(target.path()).unwrap();
    let whole = fs::read(target.path().join("model.safetensors")).unwrap();
    let (header, metadata) = SafeTensors::read_metadata(&whole).unwrap();
    assert!(header.is_multiple_of(8), "{header}");
    for name in files.names() {
        let info = metadata.info(name).unwrap();
        let size = info.dtype.bitsize() / 8;
        assert!(info.data_offsets.0.is_multiple_of(size), "{name}");
    }
}
