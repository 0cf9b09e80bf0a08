//! `glass info`: sums that can be done again.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    models::{copy, fixture, fixtures, random_tiny, read},
    run::succeeds,
};

fn info(model: &str, args: &[&str]) -> Value {
    let ran = succeeds(&[&["info", model, "--json"], args].concat());
    assert_eq!(ran.stderr, "");
    ran.json()
}

#[test]
fn parameters_and_tensors_are_those_of_the_files() {
    for model in fixtures().iter().chain([&random_tiny()]) {
        let json = info(model, &["--dtype", "f32"]);
        let mut tensors = Vec::new();
        let (mut parameters, mut bytes) = (0, 0);
        for entry in fs::read_dir(model).expect("readable") {
            let path = entry.expect("readable").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            if name.starts_with("model") && name.ends_with(".safetensors") {
                for (name, tensor) in read(Path::new(&path)) {
                    parameters += tensor.shape.iter().product::<usize>();
                    bytes += tensor.bytes.len();
                    tensors.push((name, tensor));
                }
            }
        }
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        let tensors: Vec<Value> = tensors
            .iter()
            .map(|(name, tensor)| json!({ "name": name, "dtype": tensor.dtype.to_string(), "shape": tensor.shape }))
            .collect();
        assert_eq!(json["tensors"], json!(tensors), "{model}");
        assert_eq!(json["parameters"], parameters, "{model}");
        assert_eq!(json["stored_bytes"], bytes, "{model}");
        assert_eq!(json["weight_bytes"], 4 * parameters, "{model}");
        let parts = json["parameters_by_part"].as_object().expect("an object");
        let sum: u64 = parts.values().filter_map(Value::as_u64).sum();
        assert_eq!(sum, parameters as u64, "{model}");
        assert_eq!(json["ignored_fields"], json!([]), "{model}");
    }
}

#[test]
fn caches_count_keys_and_values() {
    // 3 layers x (keys and values) x 2 heads of 16 x 4 bytes; a context of 128.
    let json = info(&fixture("llama-gqa"), &[]);
    let full = json!([{
        "kind": "full_attention", "window": null, "layers": 3, "bytes_per_token": 768,
        "bytes_at_full_context": 768 * 128,
    }]);
    assert_eq!(json["kv_cache"], full);
    assert_eq!(json["reach"], Value::Null);

    // Half the bytes in half precision.
    let json = info(&fixture("llama-gqa"), &["--dtype", "f16"]);
    assert_eq!(json["dtype"], "f16");
    assert_eq!(json["kv_cache"][0]["bytes_per_token"], 384);
    assert_eq!(json["weight_bytes"], 2 * json["parameters"].as_u64().expect("a number"));

    // A window keeps no more than itself; two layers of each kind.
    let json = info(&fixture("qwen2-mixed-window"), &[]);
    let per_token = 2 * 2 * 2 * 12 * 4;
    let both = json!([
        { "kind": "full_attention", "window": null, "layers": 2, "bytes_per_token": per_token,
          "bytes_at_full_context": per_token * 128 },
        { "kind": "sliding_attention", "window": 8, "layers": 2, "bytes_per_token": per_token,
          "bytes_at_full_context": per_token * 8 },
    ]);
    assert_eq!(json["kv_cache"], both);

    // Each of three layers looks seven positions back.
    let json = info(&fixture("mistral-swa"), &[]);
    assert_eq!(json["reach"], 3 * 7);
    // A window wider than the context keeps the context.
    let json = info(&fixture("mistral-swa"), &["--set", "sliding_window=4096"]);
    let cache = &json["kv_cache"][0];
    let context = json["config"]["max_position_embeddings"].as_u64().expect("a number");
    let per_token = cache["bytes_per_token"].as_u64().expect("a number");
    assert_eq!(cache["bytes_at_full_context"], per_token * context);
}

#[test]
fn text_says_the_same() {
    let model = fixture("llama-gqa");
    let text = succeeds(&["info", &model]).stdout;
    for words in [
        "llama",
        "3 layers, hidden 48",
        "4 heads of 16 over 2 key/value heads",
        "81,744",
        "theta 10000, context 128",
        "768 bytes per token, 98.3 kB at full context",
        "30 tensors in F32, 327.0 kB",
        "the whole context",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(!text.contains("q_proj"), "{text}");
    let text = succeeds(&["info", &model, "--tensors"]).stdout;
    assert!(text.contains("model.layers.2.self_attn.q_proj.weight F32 [64, 48]"), "{text}");
}

#[test]
fn ignored_fields_are_listed() {
    let model = copy(&fixture("llama-gqa"));
    model.edit_json("config.json", |fields| {
        fields.insert("flux_capacitor".into(), json!(88));
    });
    let path = &model.path();
    let ignored = &info(path, &[])["ignored_fields"];
    assert_eq!(ignored.as_array().map(Vec::len), Some(1), "{ignored}");
    assert_eq!(ignored[0]["name"], "flux_capacitor");
    let text = succeeds(&["info", path]).stdout;
    assert!(text.contains("flux_capacitor = 88"), "{text}");
    // Those that nobody is warned of are there too.
    let harmless = &info(path, &[])["harmless_fields"];
    let names: Vec<&str> =
        harmless.as_array().into_iter().flatten().filter_map(|field| field["name"].as_str()).collect();
    assert!(names.contains(&"architectures") && names.contains(&"transformers_version"), "{harmless}");
    let line = text.lines().find(|line| line.starts_with("harmless fields")).expect("it says so");
    assert!(line.ends_with(&names.join(", ")), "{line}");
}
