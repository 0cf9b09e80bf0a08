//! GGUF files in place of folders.

use std::{fs, path::Path};

use glass_gguf::{Gguf, GgufError, Metadata, TensorInfo, Value, Writer};
use glass_testing::fixtures;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::run::{fails, refused, succeeds, text};

/// A fixture of llama.cpp.
fn fixture(name: &str) -> String {
    text(&fixtures::root().join("gguf").join(name).join("model.gguf"))
}

/// A fixture with other keys and tensors. Tensors that are added have zeros.
struct Edited(TempDir);

impl Edited {
    fn new(name: &str, edit: impl FnOnce(&mut Metadata, &mut Vec<TensorInfo>)) -> Self {
        let file = Gguf::open(Path::new(&fixture(name))).expect("a fixture");
        let mut metadata = file.metadata().clone();
        let info = |tensor: glass_gguf::Tensor<'_>| TensorInfo {
            name: tensor.name.to_owned(),
            ty: tensor.ty,
            shape: tensor.shape.to_vec(),
        };
        let mut tensors: Vec<TensorInfo> = file.tensors().map(info).collect();
        edit(&mut metadata, &mut tensors);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut out = fs::File::create(folder.path().join("model.gguf")).expect("created");
        Writer::new(&metadata, tensors)
            .expect("a file that can be")
            .write(&mut out, |tensor, out| {
                let zeros = vec![0; tensor.ty.bytes(&tensor.shape).expect("whole blocks")];
                let bytes = file.get(&tensor.name).filter(|old| old.bytes.len() == zeros.len());
                out.write_all(bytes.map_or(&zeros[..], |old| old.bytes)).map_err(GgufError::Write)
            })
            .expect("written");
        Self(folder)
    }

    fn path(&self) -> String {
        text(&self.0.path().join("model.gguf"))
    }
}

fn set(key: &str, value: impl Into<Value>) -> impl FnOnce(&mut Metadata, &mut Vec<TensorInfo>) {
    move |metadata, _| drop(metadata.insert(key, value))
}

#[test]
fn every_command_takes_a_file() {
    let model = fixture("llama-q4_k_m");
    let flex = ["--device", "flex"];
    let ran = succeeds(&[&["generate", &model, "-p", "Once upon", "-n", "5"][..], &flex].concat());
    assert!(ran.stderr.contains("Q4_K_M"), "{ran:?}");
    let ran = succeeds(&[&["logits", &model, "--ids", "1,5,9", "-o", "/dev/null", "--force"][..], &flex].concat());
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
    succeeds(&["tokenize", &model, "Once upon a time"]);
    succeeds(&[&["search", &model, "-p", "Once", "-n", "3", "--num-beams", "2"][..], &flex].concat());
    let info = succeeds(&["info", &model, "--json"]);
    let info: Json = serde_json::from_str(&info.stdout).expect("JSON");
    assert_eq!((&info["dtype"], &info["model_type"]), (&"Q4_K_M".into(), &"llama".into()));
    assert_eq!(info["keys"]["llama.block_count"], "u32 1");
    assert_eq!(info["ignored_fields"], Json::Array(vec![]));
    let size = fs::metadata(&model).expect("it is there").len();
    let held = info["stored_bytes"].as_u64().expect("a number");
    assert!(held < size && info["weight_bytes"].as_u64() == Some(held), "{held} of {size}");
}

#[test]
fn a_folder_is_made_of_a_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = text(&folder.path().join("folder"));
    let ran = succeeds(&["convert", &fixture("qwen2-q4_k_m"), "-o", &target, "--dtype", "bf16"]);
    assert!(ran.stderr.contains("BF16"), "{ran:?}");
    for name in
        ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
    {
        assert!(Path::new(&target).join(name).is_file(), "{name}");
    }
    let of = |model: &str| succeeds(&["tokenize", model, "Once upon a time", "--json"]).stdout;
    assert_eq!(of(&target), of(&fixture("qwen2-q4_k_m")));
    succeeds(&["generate", &target, "-p", "Once", "-n", "3", "--device", "flex"]);
    fails(&["convert", &fixture("qwen2-q4_k_m"), "-o", &target], &["not empty"]);
}

#[test]
fn blocks_without_kernels_are_dequantized_and_that_is_said() {
    let model = fixture("llama-q4_0");
    let plain = ["--device", "flex", "--kernels", "plain"];
    let ran = succeeds(&[&["generate", &model, "--ids", "1,2", "-n", "1"][..], &plain].concat());
    assert!(
        ran.stderr.contains("warning: the weights are stored in Q4_0, for which flex has no kernels here"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("device flex, f32"), "{ran:?}");
}

#[test]
fn what_cannot_be_done_with_a_file() {
    let model = fixture("llama-q8_0");
    let generate = |more: &[&str], words: &[&str]| {
        fails(&[&["generate", &model, "--ids", "1", "-n", "1", "--device", "flex"], more].concat(), words)
    };
    generate(&["--dtype", "q4"], &[&model, "Q8_0", "--dtype q4", "f32, f16 or bf16"]);
    generate(&["--dtype", "Q4_K_M"], &[&model, "Q8_0", "Q4_K_M"]);
    generate(&["--set", "sliding_windows=3"], &["sliding_windows"]);
    fails(&["train", "--from", &model, "--text", &model, "-o", "x"], &[&model, "glass convert"]);
    fails(&["quantize", &model, "--dtype", "q4", "-o", "x"], &[&model, "glass convert"]);
    let folder = text(&fixtures::root().join("llama-tied"));
    fails(&["generate", &folder, "--ids", "1", "--dtype", "Q8_0"], &[&folder, "GGUF"]);
    refused(&["generate", &model, "--dtype", "Q9_0"], &["Q9_0", "f32, f16, bf16"]);
    // A folder around a file.
    let folder = text(Path::new(&model).parent().expect("a folder"));
    for command in ["info", "chat"] {
        fails(&[command, &folder], &[&folder, "model.gguf", "name the .gguf file itself"]);
    }
}

#[test]
fn damaged_files_get_one_line() {
    let check = |file: &Edited, words: &[&str]| {
        let path = file.path();
        fails(&["generate", &path, "--ids", "1", "-n", "1", "--device", "flex"], &[&[path.as_str()], words].concat());
    };
    let edited = |edit: fn(&mut Metadata, &mut Vec<TensorInfo>)| Edited::new("llama-q8_0", edit);
    check(&Edited::new("llama-q8_0", set("general.architecture", "rwkv7")), &["rwkv7", "not supported", "gpt-oss"]);
    check(&Edited::new("llama-q8_0", set("llama.embedding_length", 128u32)), &["shape", "256", "128"]);
    check(&edited(|metadata, _| drop(metadata.remove("llama.block_count"))), &["llama.block_count"]);
    check(&Edited::new("qwen2-q4_k_m", set("qwen2.block_count", 1u32)), &["blk.1.", "no place", "others"]);
    check(&Edited::new("llama-q8_0", set("llama.block_count", 2u32)), &["blk.1.", "missing"]);
    check(
        &edited(|_, tensors| tensors.retain(|tensor| tensor.name != "blk.0.ffn_up.weight")),
        &["blk.0.ffn_up.weight", "missing"],
    );
    check(
        &edited(|_, tensors| {
            let extra = TensorInfo { name: "blk.0.attn_sinks.weight".into(), ..tensors[0].clone() };
            tensors.push(extra);
        }),
        &["blk.0.attn_sinks.weight", "no place for it"],
    );
    check(
        &edited(|_, tensors| {
            let down = tensors.iter_mut().find(|tensor| tensor.name == "blk.0.ffn_down.weight").expect("it is there");
            down.ty = glass_gguf::GgmlType::from_name("IQ3_S").expect("a type");
        }),
        &["blk.0.ffn_down.weight", "IQ3_S", "Q4_K"],
    );

    let whole = fs::read(fixture("llama-q8_0")).expect("readable");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = text(&folder.path().join("model.gguf"));
    for len in [0, 3, 100, 4000, whole.len() - 1] {
        fs::write(&path, &whole[..len]).expect("written");
        for command in ["info", "generate"] {
            fails(&[command, &path, "--device", "flex"][..if command == "info" { 2 } else { 4 }], &[&path]);
        }
    }
}
