//! Weight files that are not what they should be: one line each, with the file and the tensor.

use std::fs;

use safetensors::Dtype;

use crate::{
    models::{Copy, Stored, WEIGHTS, copy, fixture},
    run::fails,
};

const Q: &str = "model.layers.1.self_attn.q_proj.weight";

/// Loading this copy fails, and the line has the words and the file's path.
fn fails_with(model: &Copy, file: &str, words: &[&str]) {
    let path = model.file(file).display().to_string();
    let words = [&[path.as_str()], words].concat();
    fails(&["generate", &model.path(), "--ids", "1", "--device", "flex"], &words);
}

#[test]
fn no_weights() {
    let model = copy(&fixture("llama-gqa"));
    model.remove(WEIGHTS);
    let path = &model.path();
    let words = [path.as_str(), "neither", WEIGHTS, "model.safetensors.index.json"];
    fails(&["generate", path, "--ids", "1", "--device", "flex"], &words);
    fails(&["info", path], &words);
    model.remove("expected.safetensors");
    model.write("pytorch_model.bin", "pickled");
    fails(&["info", path], &["pytorch_model.bin", "safetensors"]);
}

#[test]
fn truncated_files() {
    let whole = fs::metadata(format!("{}/{WEIGHTS}", fixture("llama-gqa"))).expect("there");
    for (bytes, words) in
        [(0, &["is empty"][..]), (5, &["5 bytes"]), (100, &["header", "100 bytes"]), (whole.len() - 1, &["cut short"])]
    {
        let model = copy(&fixture("llama-gqa"));
        model.truncate(WEIGHTS, bytes);
        fails_with(&model, WEIGHTS, words);
        fails(&["info", &model.path()], words);
    }
}

#[test]
fn files_of_another_kind() {
    let model = copy(&fixture("llama-gqa"));
    model.write(WEIGHTS, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    fails_with(&model, WEIGHTS, &["Git LFS pointer", "git lfs pull"]);
    model.write(WEIGHTS, "<!DOCTYPE html><html>not found</html>");
    fails_with(&model, WEIGHTS, &["header"]);
    model.write(WEIGHTS, [&2_u64.to_le_bytes()[..], b"[]"].concat());
    fails_with(&model, WEIGHTS, &["not a JSON object"]);
}

#[test]
fn a_missing_tensor() {
    let model = copy(&fixture("llama-gqa"));
    model.edit_weights(|tensors| {
        tensors.remove(Q).expect("it is there");
    });
    fails_with(&model, WEIGHTS, &[Q, "missing"]);
}

#[test]
fn an_unexpected_tensor() {
    let model = copy(&fixture("llama-gqa"));
    let name = "model.layers.3.mlp.up_proj.weight";
    model.edit_weights(|tensors| {
        let like = tensors[&name.replace('3', "2")].clone();
        tensors.insert(name.into(), like);
    });
    fails_with(&model, WEIGHTS, &[name, "no place"]);
}

#[test]
fn a_tensor_of_another_shape() {
    let model = copy(&fixture("llama-gqa"));
    model.edit_weights(|tensors| {
        tensors.get_mut(Q).expect("it is there").shape.reverse();
    });
    fails_with(&model, WEIGHTS, &[Q, "[48, 64]", "[64, 48]"]);
    let model = copy(&fixture("llama-gqa"));
    model.edit_weights(|tensors| {
        tensors.get_mut(Q).expect("it is there").shape = vec![64 * 48];
    });
    fails_with(&model, WEIGHTS, &[Q, "[3072]", "[64, 48]"]);
}

#[test]
fn a_tensor_of_another_type() {
    for dtype in [Dtype::I32, Dtype::F8_E4M3, Dtype::F8_E5M2, Dtype::U8, Dtype::BOOL] {
        let model = copy(&fixture("llama-gqa"));
        model.edit_weights(|tensors| {
            let tensor = tensors.get_mut(Q).expect("it is there");
            let bits = tensor.shape.iter().product::<usize>() * dtype.bitsize();
            *tensor = Stored { dtype, shape: tensor.shape.clone(), bytes: vec![0; bits / 8] };
        });
        fails_with(&model, WEIGHTS, &[Q, &dtype.to_string(), "F32"]);
    }
}

#[test]
fn weights_that_are_not_numbers() {
    let model = copy(&fixture("llama-gqa"));
    model.edit_weights(|tensors| {
        let tensor = tensors.get_mut("model.norm.weight").expect("it is there");
        tensor.bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    fails(&["generate", &model.path(), "--ids", "1", "--device", "flex"], &["logit", "NaN"]);
}

#[test]
fn shards() {
    let shard = "model-00002-of-00003.safetensors";
    let index = "model.safetensors.index.json";
    let model = copy(&fixture("llama-sharded"));
    model.truncate(shard, 4000);
    fails_with(&model, shard, &["bytes"]);
    model.remove(shard);
    fails_with(&model, index, &[shard]);

    let model = copy(&fixture("llama-sharded"));
    model.edit_json(index, |fields| {
        let map = fields["weight_map"].as_object_mut().expect("an object");
        let (_, place) = map.iter_mut().next().expect("a tensor");
        let other = if place == shard { "model-00001-of-00003.safetensors" } else { shard };
        *place = other.into();
    });
    fails_with(&model, index, &["tensor"]);
    model.write(index, "{}");
    fails_with(&model, index, &["weight_map"]);
}
