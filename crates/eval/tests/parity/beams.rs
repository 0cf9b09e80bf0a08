//! Beam search against `transformers`, token for token and score for score.

use std::{collections::HashMap, fs};

use glass_backend::Dtype;
use glass_generate::{BeamOptions, FinishReason, Llama, SamplingConfig, SequenceBias};
use glass_testing::devices;
use serde_json::Value;

use crate::{
    fixture,
    search::{count, search, tolerance},
};

#[test]
fn beams_are_those_of_the_fixtures() {
    // Length penalty, early stopping, and the id that ends sequences in either model.
    let variants = [
        ("beam", 1.0, "false", false),
        ("beam_eos.lp1", 1.0, "false", true),
        ("beam_eos.lp0", 0.0, "false", true),
        ("beam_eos.lp2", 2.0, "false", true),
        ("beam_eos.lp1_early", 1.0, "true", true),
        ("beam_eos.lp2_never", 2.0, "never", true),
    ];
    for device in devices::all() {
        for name in ["llama-gqa", "mistral-swa"] {
            let folder = fixture::root().join(name);
            let meta = fs::read(folder.join("meta.json")).expect("readable");
            let meta: Value = serde_json::from_slice(&meta).expect("JSON");
            let llama = fixture::load(&folder, false, &device, Dtype::F32);
            let expected = fixture::expected(&folder);
            for (variant, length_penalty, early_stopping, ends) in variants {
                let prompt = fixture::rows(&expected[&format!("{variant}.prompt_ids")]);
                let outputs = fixture::rows(&expected[&format!("{variant}.output_ids")]);
                let scores = &expected[&format!("{variant}.scores")].values;
                let eos = variant_eos(&meta, variant);
                assert_eq!(eos.is_some(), ends, "{name} {variant}");
                let options = BeamOptions {
                    length_penalty,
                    early_stopping: early_stopping.parse().expect("a rule"),
                    num_return_sequences: count(4),
                    eos_ids: eos.into_iter().collect(),
                    ..BeamOptions::new(count(4), 16)
                };
                let found = search(&llama, &prompt[0], &options);
                let who = format!("{name} {variant} on {}", device.name());
                assert_eq!(found.sequences.len(), outputs.len(), "{who}");
                for ((sequence, output), &score) in found.sequences.iter().zip(&outputs).zip(scores) {
                    // Behind its end a sequence is filled up.
                    let new = &output[prompt[0].len()..];
                    let end = new.iter().position(|&id| Some(id) == eos);
                    let new = &new[..end.map_or(new.len(), |end| end + 1)];
                    assert_eq!(sequence.ids, new, "{who}");
                    let reason = match end {
                        Some(_) => FinishReason::Eos,
                        None => FinishReason::Length,
                    };
                    assert_eq!(sequence.finish_reason, reason, "{who}");
                    let off = (sequence.score - f64::from(score)).abs();
                    assert!(off <= tolerance(&device), "{who}: a score is {off} off");
                }
            }
        }
    }
}

fn variant_eos(meta: &Value, variant: &str) -> Option<u32> {
    let eos = match variant.strip_prefix("beam_eos.") {
        Some(name) => &meta["beam_eos"]["variants"][name]["eos_token_id"],
        None => &meta["beam"]["eos_token_id"],
    };
    eos.as_u64().map(|id| u32::try_from(id).expect("an id"))
}

/// Drawn prompts and options, with sequences that end early.
#[test]
fn beams_are_those_of_the_reference() {
    let cases = fs::read_to_string(fixture::root().join("beams.jsonl")).expect("readable");
    let cases: Vec<Value> = cases.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(cases.len() >= 80, "cases are missing");
    for device in devices::all() {
        let mut models: HashMap<String, Llama> = HashMap::new();
        let step = if devices::is_wgpu(&device) { 9 } else { 1 };
        for (number, case) in cases.iter().enumerate().step_by(step) {
            let name = case["model"].as_str().expect("a name");
            let llama = models
                .entry(name.to_owned())
                .or_insert_with(|| fixture::load(&fixture::root().join(name), false, &device, Dtype::F32));
            let size = |field: &str| count(case[field].as_u64().expect("a number") as usize);
            let options = BeamOptions {
                length_penalty: case["length_penalty"].as_f64().expect("a number"),
                early_stopping: case["early_stopping"].as_str().and_then(|text| text.parse().ok()).expect("a rule"),
                num_return_sequences: size("num_return_sequences"),
                rules: rules(case),
                eos_ids: ids(&case["eos"]),
                ..BeamOptions::new(size("num_beams"), size("max_new_tokens").get())
            };
            let found = search(llama, &ids(&case["prompt"]), &options);
            let who = format!("case {number}, {name} on {}", device.name());
            let sequences = case["sequences"].as_array().expect("a list");
            let scores = case["scores"].as_array().expect("a list");
            assert_eq!(found.sequences.len(), sequences.len(), "{who}");
            for ((sequence, ids_there), score) in found.sequences.iter().zip(sequences).zip(scores) {
                assert_eq!(sequence.ids, ids(ids_there), "{who}: {case}");
                let score = score.as_f64().expect("a number");
                let off = (sequence.score - score).abs() / score.abs().max(1.0);
                assert!(off <= tolerance(&device), "{who}: a score is {off} off");
            }
        }
    }
}

fn rules(case: &Value) -> SamplingConfig {
    let biases = case["sequence_bias"].as_array().expect("a list");
    let bias = |pair: &Value| SequenceBias { ids: ids(&pair[0]), bias: pair[1].as_f64().expect("a number") as f32 };
    SamplingConfig {
        repetition_penalty: case["repetition_penalty"].as_f64().expect("a number") as f32,
        no_repeat_ngram_size: case["no_repeat_ngram_size"].as_u64().expect("a number") as usize,
        sequence_bias: biases.iter().map(bias).collect(),
        ..SamplingConfig::default()
    }
}

fn ids(values: &Value) -> Vec<u32> {
    let values = values.as_array().expect("a list");
    let id = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("an id");
    values.iter().map(id).collect()
}
