//! Rotations that make no sense, and files that contradict themselves.

use serde_json::{Value, json};

use crate::common::check;

#[test]
fn rotations() {
    let rope = |parameters: Value| json!({"rope_parameters": parameters});
    let llama3 = |low: f64, high: f64| {
        rope(json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": low, "high_freq_factor": high,
                    "original_max_position_embeddings": 32}))
    };
    let yarn = |extra: Value| {
        let mut parameters = json!({"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 32});
        parameters.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        rope(parameters)
    };
    let longrope = |short: &[f64], long: &[f64], original: usize| {
        rope(json!({"rope_type": "longrope", "short_factor": short, "long_factor": long,
                    "original_max_position_embeddings": original}))
    };
    let ratio = "rope_type linear needs it, the ratio of the new context length to the trained one";
    let stretch = "must be a number of at least 1, for scaling lengthens the context";
    let positive = "must be a finite number above 0";
    let theta = "must be a finite number above 0 that float32 can hold";
    check(
        "llama",
        &[
            (rope(json!(3)), "rope_parameters = 3: must be an object {...} or null"),
            (json!({"rope_scaling": "linear"}), "rope_scaling = \"linear\": must be an object {...} or null"),
            (
                rope(json!({"rope_type": "mrope"})),
                "rope_parameters.rope_type = \"mrope\": must be one of default, linear, dynamic, yarn, llama3, longrope",
            ),
            (
                json!({"rope_scaling": {"type": "ntk"}}),
                "rope_scaling.rope_type = \"ntk\": must be one of default, linear, dynamic, yarn, llama3, longrope",
            ),
            (
                json!({"rope_scaling": {"type": "mrope", "rope_type": "default"}}),
                "rope_scaling.rope_type = \"default\" contradicts rope_scaling.type = \"mrope\": keep the one that is \
                 meant",
            ),
            (rope(json!({"rope_theta": 0})), &format!("rope_parameters.rope_theta = 0: {theta}")),
            (json!({"rope_theta": -5}), &format!("rope_theta = -5: {theta}")),
            (json!({"rope_theta": 1e39}), &format!("rope_theta = 1e+39: {theta}")),
            (json!({"rope_theta": null}), &format!("rope_theta = null: {theta}; remove the field to get its default")),
            (
                json!({"rope_theta": 5, "rope_parameters": {"rope_theta": 6}}),
                "rope_parameters.rope_theta = 6 contradicts rope_theta = 5: keep the one that is meant",
            ),
            (
                json!({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "linear", "factor": 4}}),
                "rope_parameters = {\"rope_type\":\"linear\",\"factor\":4} contradicts rope_scaling = \
                 {\"factor\":2,\"rope_type\":\"linear\"}: keep the one that is meant",
            ),
            (
                json!({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_type": "linear"}}),
                "rope_parameters = {\"rope_type\":\"linear\"} contradicts rope_scaling = \
                 {\"factor\":2,\"rope_type\":\"linear\"}: keep the one that is meant",
            ),
            (rope(json!({"rope_type": "linear"})), &format!("rope_parameters.factor is missing: {ratio}")),
            (json!({"rope_scaling": {"type": "linear"}}), &format!("rope_scaling.factor is missing: {ratio}")),
            (rope(json!({"rope_type": "linear", "factor": 0.5})), &format!("rope_parameters.factor = 0.5: {stretch}")),
            (rope(json!({"rope_type": "dynamic", "factor": 0})), &format!("rope_parameters.factor = 0: {stretch}")),
            (
                json!({"head_dim": 2, "rope_parameters": {"rope_type": "dynamic", "factor": 2}}),
                "rope_parameters.rope_type = \"dynamic\": needs a head_dim above 2",
            ),
            (llama3(4.0, 4.0), "rope_parameters.low_freq_factor = 4: must be below high_freq_factor (4)"),
            (llama3(0.0, 4.0), &format!("rope_parameters.low_freq_factor = 0.0: {positive}")),
            (
                rope(json!({"rope_type": "llama3", "factor": 8, "high_freq_factor": 4})),
                "rope_parameters.low_freq_factor is missing: rope_type llama3 needs it (Llama 3.1 has 1)",
            ),
            (yarn(json!({"factor": 0.9})), &format!("rope_parameters.factor = 0.9: {stretch}")),
            (
                yarn(json!({"original_max_position_embeddings": 0})),
                "rope_parameters.original_max_position_embeddings = 0: must be a whole number (without fraction or exponent) of at least 1",
            ),
            (yarn(json!({"beta_slow": 40})), "rope_parameters.beta_slow = 40: must not exceed beta_fast (32)"),
            (yarn(json!({"beta_slow": -1})), &format!("rope_parameters.beta_slow = -1: {positive}")),
            (yarn(json!({"rope_theta": 1})), "rope_parameters.rope_theta = 1: must be above 1 for rope_type yarn"),
            (yarn(json!({"attention_factor": -1})), &format!("rope_parameters.attention_factor = -1: {positive}")),
            (yarn(json!({"truncate": 0})), "rope_parameters.truncate = 0: must be true or false"),
            (
                longrope(&[1.0; 5], &[1.0; 6], 32),
                "rope_parameters.short_factor = 5 entries: must have head_dim / 2 = 6 entries",
            ),
            (
                longrope(&[1.0; 6], &[1.0; 7], 32),
                "rope_parameters.long_factor = 7 entries: must have head_dim / 2 = 6 entries",
            ),
            (
                longrope(&[1.0; 6], &[1.0, 1.0, 0.0, 1.0, 1.0, 1.0], 32),
                &format!("rope_parameters.long_factor[2] = 0.0: {positive}"),
            ),
            (
                longrope(&[1.0; 6], &[1.0; 6], 1),
                "rope_parameters.original_max_position_embeddings = 1: must be at least 2",
            ),
            (
                rope(json!({"rope_type": "longrope", "short_factor": ["a"]})),
                "rope_parameters.short_factor[0] = \"a\": must be a finite number above 0",
            ),
        ],
    );
}
