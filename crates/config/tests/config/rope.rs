//! RoPE as transformers 4 and 5 write it.

use glass_config::{
    Dtype, DynamicScaling, LinearScaling, Llama3Scaling, LlamaConfig, LongropeScaling, RopeScaling, YarnScaling,
};
use serde_json::{Value, json};

use crate::common::{file, read, scaling};

fn both(version_4: Value, version_5: Value) -> LlamaConfig {
    let (old, new) = (read(&version_4).unwrap(), read(&version_5).unwrap());
    assert_eq!(old, new);
    new
}

#[test]
fn every_rope_type_in_both_dialects() {
    let cases = [
        (json!({}), "default"),
        (json!({"factor": 4.0}), "linear"),
        (json!({"factor": 2}), "dynamic"),
        (
            json!({"factor": 4, "original_max_position_embeddings": 32, "beta_fast": 16, "mscale": 1.0,
                   "mscale_all_dim": 0.5, "attention_factor": 1.25, "truncate": false}),
            "yarn",
        ),
        (
            json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 32}),
            "llama3",
        ),
        (
            json!({"short_factor": [1, 1, 1, 1, 1, 1], "long_factor": [1, 2, 3, 4, 5, 6.5],
                   "original_max_position_embeddings": 32}),
            "longrope",
        ),
    ];
    for (parameters, name) in cases {
        for key in ["type", "rope_type"] {
            let mut old = parameters.clone();
            old[key] = json!(name);
            let mut modern = parameters.clone();
            modern["rope_type"] = json!(name);
            modern["rope_theta"] = json!(5000.0);
            let config = both(
                file("llama", json!({"rope_theta": 5000, "rope_scaling": old, "torch_dtype": "float16"})),
                file("llama", json!({"rope_parameters": modern, "dtype": "float16"})),
            );
            assert_eq!(scaling(&config).name(), name);
            assert_eq!(config.ropes[0].rope_theta, 5000.0);
            assert_eq!(config.dtype, Some(Dtype::Float16));
        }
    }
}

fn rope(parameters: Value) -> RopeScaling {
    let file = file("llama", json!({"max_position_embeddings": 128, "rope_parameters": parameters}));
    scaling(&read(&file).unwrap())
}

#[test]
fn yarn_fills_in_as_transformers_does() {
    assert_eq!(
        rope(json!({"rope_type": "yarn", "factor": null, "original_max_position_embeddings": 32,
                    "beta_fast": 0, "mscale": 0, "mscale_all_dim": null})),
        RopeScaling::Yarn(YarnScaling {
            factor: 4.0,
            original_max_position_embeddings: 32,
            beta_fast: 32.0,
            beta_slow: 1.0,
            attention_factor: None,
            mscale: None,
            mscale_all_dim: None,
            truncate: true,
        })
    );
}

#[test]
fn longrope_and_its_old_name_derive_the_factor() {
    let lists = || vec![1.0; 6];
    for name in ["longrope", "su"] {
        let read = rope(json!({"type": name, "short_factor": lists(), "long_factor": lists(),
                               "original_max_position_embeddings": 64}));
        assert_eq!(
            read,
            RopeScaling::Longrope(LongropeScaling {
                short_factor: lists(),
                long_factor: lists(),
                factor: 2.0,
                original_max_position_embeddings: 64,
                attention_factor: None,
            })
        );
    }
}

#[test]
fn an_absent_original_length_is_max_position_embeddings() {
    let read = rope(json!({"rope_type": "llama3", "factor": 2, "low_freq_factor": 1, "high_freq_factor": 4}));
    assert!(matches!(read, RopeScaling::Llama3(Llama3Scaling { original_max_position_embeddings: 128, .. })));
    // Phi-3 keeps it beside the rope parameters.
    let beside = read_original_beside();
    assert!(matches!(beside, RopeScaling::Llama3(Llama3Scaling { original_max_position_embeddings: 16, .. })));
}

fn read_original_beside() -> RopeScaling {
    let file = file(
        "llama",
        json!({"original_max_position_embeddings": 16, "rope_parameters":
               {"rope_type": "llama3", "factor": 2, "low_freq_factor": 1, "high_freq_factor": 4}}),
    );
    scaling(&read(&file).unwrap())
}

#[test]
fn dynamic_goes_by_max_position_embeddings_and_says_so() {
    let config = read(&file(
        "llama",
        json!({"rope_scaling": {"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 32}}),
    ))
    .unwrap();
    assert_eq!(scaling(&config), RopeScaling::Dynamic(DynamicScaling { factor: 2.0, max_position_embeddings: 2048 }));
    let [ignored] = config.ignored.as_slice() else { panic!("{:?}", config.ignored) };
    assert_eq!(ignored.name, "rope_scaling.original_max_position_embeddings");
    assert_eq!(ignored.value, "32");
    assert_eq!(ignored.why, "rope_type dynamic goes by max_position_embeddings");
}

#[test]
fn a_file_in_both_dialects_must_agree_with_itself() {
    let rope_parameters = json!({"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0});
    let config = both(
        file("llama", json!({"rope_parameters": rope_parameters})),
        file(
            "llama",
            json!({"rope_parameters": rope_parameters, "rope_theta": 10000,
                   "rope_scaling": {"type": "linear", "factor": 2}}),
        ),
    );
    assert_eq!(scaling(&config), RopeScaling::Linear(LinearScaling { factor: 2.0 }));
    // Null and empty say nothing.
    for nothing in [json!(null), json!({})] {
        let config = read(&file(
            "llama",
            json!({"rope_parameters": rope_parameters, "rope_scaling": nothing, "torch_dtype": null}),
        ));
        assert_eq!(scaling(&config.unwrap()), RopeScaling::Linear(LinearScaling { factor: 2.0 }));
    }
}
