//! Runs that begin from a model.

use std::{fs, path::Path};

use glass_backend::Dtype;
use glass_checkpoint::Existing;
use glass_train::{Event, NewRun, Recipe, Run, TrainError};
use serde_json::{Value, json};

use crate::runs::{
    TestFolder, column, config, is_one_line, metrics, recipe, resume, stop_at, tensor, to_the_end, weights,
};

/// A model that has learned its text a little.
fn first(folders: &TestFolder) -> std::path::PathBuf {
    folders.train("first", &config(json!({})), &Recipe { steps: 30, ..recipe() })
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// The types of a model's tensors, and whether they have the name of `model`'s.
fn stored(folder: &Path) -> Vec<safetensors::Dtype> {
    let bytes = weights(folder);
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut types: Vec<_> = tensors.tensors().iter().map(|(_, tensor)| tensor.dtype()).collect();
    types.dedup();
    types
}

#[test]
fn a_run_begins_where_the_model_is() {
    let folders = TestFolder::new();
    let model = first(&folders);
    let mut run = Run::start(folders.start_from(&model, "second", &recipe())).expect("a run");
    assert_eq!((run.from(), run.warnings()), (Some("a model"), &[][..]));
    let second = run.folder().to_owned();
    assert!(to_the_end(&mut run).complete);

    // The same text and windows: the first loss is the model's last.
    let losses = column(&metrics(&second), "val_loss");
    let last = *column(&metrics(&model), "val_loss").last().expect("a loss");
    assert_eq!(metrics(&second)[0]["step"], 0);
    assert!((losses[0] - last).abs() < 1e-6, "{losses:?} after {last}");
    assert!(losses.last() < Some(&(last - 0.01)), "{losses:?}");
    // The small files are the model's own.
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        assert_eq!(fs::read(second.join(name)).unwrap(), fs::read(model.join(name)).unwrap(), "{name}");
    }
    assert_eq!(json_of(&second.join("config.json")), json_of(&model.join("config.json")));
    let moved = |name| tensor(&model, name) != tensor(&second, name);
    assert!(moved("model.embed_tokens.weight") && moved("model.norm.weight"));
}

#[test]
fn a_run_from_a_model_resumes_to_the_unbroken_result() {
    let folders = TestFolder::new();
    let model = first(&folders);
    let mut run = Run::start(folders.start_from(&model, "whole", &recipe())).expect("a run");
    let whole = run.folder().to_owned();
    to_the_end(&mut run);
    for (number, step) in [0, 6].into_iter().enumerate() {
        let mut run = Run::start(folders.start_from(&model, &format!("run-{number}"), &recipe())).expect("a run");
        let folder = run.folder().to_owned();
        match step {
            0 => drop(stop_at(&mut run, |event| matches!(event, Event::Evaluating { .. }))),
            _ => drop(stop_at(&mut run, |event| matches!(event, Event::Step { step: 6, .. }))),
        }
        drop(run);
        // The model that it began from is needed no more.
        let away = folders.path("away");
        fs::rename(&model, &away).unwrap();
        assert!(to_the_end(&mut resume(&folder).expect("it resumes")).complete);
        fs::rename(&away, &model).unwrap();
        assert_eq!(metrics(&folder), metrics(&whole));
        assert!(weights(&folder) == weights(&whole));
    }
}

#[test]
fn the_result_is_stored_as_the_model_was_or_as_asked() {
    let folders = TestFolder::new();
    let model = first(&folders);
    let few = Recipe { steps: 2, warmup_steps: 0, ..recipe() };
    let train = |from: &Path, output: &str, dtype| {
        let start = NewRun { dtype, ..folders.start_from(from, output, &few) };
        let mut run = Run::start(start).expect("a run");
        to_the_end(&mut run);
        let expected = run.stored_dtype();
        let folder = run.folder().to_owned();
        // Also when it resumes.
        assert_eq!(resume(&folder).expect("it resumes").stored_dtype(), expected);
        let config = json_of(&folder.join("config.json"));
        (folder.clone(), stored(&folder), config["dtype"].clone())
    };
    let (half, types, name) = train(&model, "half", Some(Dtype::BF16));
    assert_eq!((types, name), (vec![safetensors::Dtype::BF16], json!("bfloat16")));
    let (_, types, name) = train(&half, "again", None);
    assert_eq!((types, name), (vec![safetensors::Dtype::BF16], json!("bfloat16")));
    let (_, types, name) = train(&half, "whole", Some(Dtype::F32));
    assert_eq!((types, name), (vec![safetensors::Dtype::F32], json!("float32")));
}

#[test]
fn what_cannot_be_trained_on_from_is_refused() {
    let folders = TestFolder::new();
    let model = first(&folders);
    let refuse = |start: NewRun, parts: &[&str]| {
        let (output, there) = (start.output.clone(), start.output.exists());
        let error: TrainError = match Run::start(start) {
            Ok(_) => panic!("it starts, and should say {parts:?}"),
            Err(error) => error,
        };
        is_one_line(&error, parts);
        assert_eq!(output.exists(), there, "{parts:?}");
    };
    let onto_itself = NewRun {
        output: model.clone(),
        existing: Existing::Replace,
        ..folders.start_from(&model, "second", &recipe())
    };
    refuse(onto_itself, &["first", "is the folder the model is read from"]);
    assert!(model.join("model.safetensors").exists());
    refuse(folders.start_from(&folders.path("nowhere"), "second", &recipe()), &["nowhere", "tokenizer.json"]);
    let long = Recipe { context: 65, ..recipe() };
    refuse(folders.start_from(&model, "second", &long), &["--context is 65, more than the 64 positions"]);

    // A text with letters that the model's tokenizer does not have is warned of.
    fs::write(folders.path("text.txt"), "\u{3a9}mega and alpha, ".repeat(40)).unwrap();
    let run = Run::start(folders.start_from(&model, "greek", &recipe())).expect("a run");
    assert!(run.warnings().iter().any(|line| line.contains("unknown to the tokenizer")), "{:?}", run.warnings());

    let config = model.join("config.json");
    let mut quantized = json_of(&config);
    quantized["quantization_config"] = json!({
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"a": {"targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "symmetric": true, "group_size": 32, "strategy": "group"}}}
    });
    fs::write(&config, quantized.to_string()).unwrap();
    refuse(folders.start_from(&model, "second", &recipe()), &["first", "quantized", "made from"]);
    fs::remove_file(model.join("tokenizer.json")).unwrap();
    refuse(folders.start_from(&model, "second", &recipe()), &["first", "has no tokenizer.json"]);
}
