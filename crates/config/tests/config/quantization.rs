//! Configs of checkpoints whose matrices are quantized.

use serde_json::{Value, json};

use crate::common::{check, file, read};

/// As llm-compressor writes it for a model in 4 bits.
fn w4a16() -> Value {
    json!({
        "config_groups": {"group_0": {
            "format": "pack-quantized",
            "input_activations": null, "output_activations": null,
            "targets": ["Linear"],
            "weights": {
                "actorder": "static", "block_structure": null, "dynamic": false, "group_size": 128, "num_bits": 4,
                "observer": "minmax", "observer_kwargs": {}, "strategy": "group", "symmetric": true, "type": "int",
            },
        }},
        "format": "pack-quantized", "global_compression_ratio": null, "ignore": ["lm_head"],
        "kv_cache_scheme": null, "quant_method": "compressed-tensors", "quantization_status": "compressed",
        "sparsity_config": {}, "transform_config": {}, "version": "0.12.2",
    })
}

/// The same with the value at `path` replaced.
fn with(path: &str, value: Value) -> Value {
    let mut config = w4a16();
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    config.pointer_mut(parent).expect("it is there")[name] = value;
    json!({ "quantization_config": config })
}

const WEIGHTS: &str = "/config_groups/group_0/weights";

#[test]
fn what_others_write_is_read() {
    let config = read(&file("llama", json!({"quantization_config": w4a16()}))).expect("a config");
    assert_eq!(config.ignored, []);
    let read = config.quantization_config.expect("it is quantized");
    assert_eq!(read.ignore, ["lm_head"]);
    let [group] = read.groups.as_slice() else { panic!("one group: {read:?}") };
    assert_eq!((group.num_bits, group.targets.as_slice()), (4, ["Linear".to_owned()].as_slice()));
    assert_eq!(group.group_size.map(usize::from), Some(128));
    assert!(group.symmetric);
    let config = read_quantization(with(&format!("{WEIGHTS}/symmetric"), json!(false)));
    assert!(!config.groups[0].symmetric);
}

fn read_quantization(config: Value) -> glass_config::QuantizationConfig {
    read(&file("llama", config)).expect("a config").quantization_config.expect("it is quantized")
}

#[test]
fn one_scale_for_a_whole_row() {
    let mut config = with(&format!("{WEIGHTS}/strategy"), json!("channel"));
    config["quantization_config"]["config_groups"]["group_0"]["weights"]["group_size"] = Value::Null;
    let config = read(&file("llama", config)).expect("a config");
    assert_eq!(config.quantization_config.expect("it is quantized").groups[0].group_size, None);
}

#[test]
fn it_survives_writing() {
    for second in [false, true] {
        let mut quantization = w4a16();
        if second {
            let mut other = quantization["config_groups"]["group_0"].clone();
            other["weights"]["num_bits"] = json!(8);
            quantization["config_groups"]["group_0"]["weights"]["symmetric"] = json!(false);
            quantization["config_groups"]["group_1"] = other;
            quantization["format"] = json!("mixed-precision");
        }
        let config = read(&file("llama", json!({"quantization_config": quantization}))).expect("a config");
        assert_eq!(read(&config.to_json()).expect("what was written"), config);
    }
}

#[test]
fn what_is_not_computed_is_refused() {
    let at = |path: &str| format!("quantization_config{}", path.replace('/', "."));
    let refused = |path: &str, value: Value, why: &str| {
        (with(path, value.clone()), format!("{} = {value} is not supported: {why}", at(path)))
    };
    let invalid = |path: &str, value: Value, rule: &str| {
        let line = format!("{} = {value}: {rule}", at(path));
        (with(path, value), line)
    };
    let packed = "must be pack-quantized (or mixed-precision), or use the plain checkpoint";
    let cases = [
        invalid("/quant_method", json!("gptq"), "must be compressed-tensors, or use the plain checkpoint"),
        invalid("/format", json!("float-quantized"), packed),
        refused("/config_groups/group_0/format", json!("float-quantized"), "groups are read as pack-quantized"),
        refused(
            "/kv_cache_scheme",
            json!({"num_bits": 8}),
            "only quantized weights are read, or use the plain checkpoint",
        ),
        refused(
            "/config_groups/group_0/input_activations",
            json!({"num_bits": 8}),
            "activations are not quantized by the file's rule here",
        ),
        invalid(&format!("{WEIGHTS}/type"), json!("float"), "must be int, for whole numbers are read"),
        invalid(&format!("{WEIGHTS}/symmetric"), json!("no"), "must be true or false"),
        invalid(&format!("{WEIGHTS}/num_bits"), json!(3), "must be 4 or 8"),
        refused(&format!("{WEIGHTS}/actorder"), json!("group"), "weights are read as they lie in the file"),
        refused(&format!("{WEIGHTS}/tilt"), json!(1), "nothing is known of this field"),
        invalid(
            &format!("{WEIGHTS}/strategy"),
            json!("block"),
            "must be group (with a group_size) or channel (without)",
        ),
        invalid(&format!("{WEIGHTS}/group_size"), json!(48), "must be a multiple of 32, or null with strategy channel"),
    ];
    for (config, line) in &cases {
        check("llama", &[(config.clone(), line)]);
    }
    let mut eight = with(&format!("{WEIGHTS}/num_bits"), json!(8));
    eight["quantization_config"]["config_groups"]["group_0"]["weights"]["symmetric"] = json!(false);
    let rule = "must be true in 8 bits: zero points are read in 4";
    check("llama", &[(eight, &format!("{} = false: {rule}", at(&format!("{WEIGHTS}/symmetric"))))]);
    check(
        "llama",
        &[
            (
                with("/config_groups", json!({})),
                "quantization_config.config_groups = {}: names no way to read the weights",
            ),
            (
                with("/config_groups", Value::Null),
                "quantization_config.config_groups is missing: it says how the weights are stored",
            ),
            (json!({"quantization_config": 4}), "quantization_config = 4: must be an object"),
        ],
    );
}

#[test]
fn an_unknown_field_is_shown() {
    for path in ["/recipe", "/config_groups/group_0/recipe"] {
        let config = read(&file("llama", with(path, json!("GPTQ")))).expect("a config");
        let name = format!("quantization_config{}", path.replace('/', "."));
        assert_eq!(config.ignored[0].name, name);
    }
}
