//! Folders that no run can resume from.

use std::{fs, path::Path};

use glass_train::{Event, Run, TrainError};
use serde_json::{Value, json};

use crate::{
    devices,
    runs::{TestFolder, config, copy, is_one_line, recipe, resume, stop_at},
};

/// A run that was stopped after four steps.
fn stopped(folder: &TestFolder) -> std::path::PathBuf {
    let mut run = Run::start(folder.start("run", &config(json!({})), &recipe())).expect("a run");
    stop_at(&mut run, |event| matches!(event, Event::Saved { .. }));
    run.folder().to_owned()
}

fn refused(run: Result<Run, TrainError>) -> TrainError {
    match run {
        Ok(run) => panic!("it resumes at step {}", run.steps()),
        Err(error) => error,
    }
}

#[test]
fn another_text_is_refused() {
    let test_folder = TestFolder::new();
    let folder = stopped(&test_folder);
    let text = fs::read_to_string(test_folder.path("text.txt")).unwrap();

    let (moved, other) = (test_folder.path("moved.txt"), test_folder.path("other.txt"));
    fs::rename(test_folder.path("text.txt"), &moved).unwrap();
    fs::write(&other, text.replace("miller", "mallet")).unwrap();
    is_one_line(&refused(resume(&folder)), &["text.txt", "does not exist"]);
    let run = Run::resume(&folder, Some(&other), None, devices::flex());
    is_one_line(&refused(run), &["other.txt", "not the text"]);
    let run = Run::resume(&folder, Some(&moved), None, devices::flex()).expect("it only moved");
    assert_eq!(run.steps(), 4);
}

#[test]
fn folders_without_a_checkpoint_are_refused() {
    let test_folder = TestFolder::new();
    is_one_line(&refused(resume(&test_folder.path("nowhere"))), &["nowhere", "no checkpoint"]);
    fs::create_dir_all(test_folder.path("empty/training/unfinished")).unwrap();
    is_one_line(&refused(resume(&test_folder.path("empty"))), &["empty", "no checkpoint"]);
    is_one_line(&refused(resume(&test_folder.path("text.txt"))), &["text.txt", "no checkpoint"]);
}

/// Every file that a run needs: missing, empty, truncated, or with other bytes.
#[test]
fn damaged_files_are_refused() {
    let test_folder = TestFolder::new();
    let whole = stopped(&test_folder);
    let damaged = test_folder.path("damaged");
    let refuse = |file: &str, damage: &dyn Fn(&Path), parts: &[&str]| {
        let _ = fs::remove_dir_all(&damaged);
        copy(&whole, &damaged);
        damage(&damaged.join(file));
        is_one_line(&refused(resume(&damaged)), parts);
    };
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    };
    let empty = |path: &Path| fs::write(path, b"").unwrap();
    let missing = |path: &Path| fs::remove_file(path).unwrap();

    for file in ["training/step-4/model.safetensors", "training/step-4/state.json"] {
        for damage in [&cut as &dyn Fn(&Path), &empty, &missing] {
            refuse(file, damage, &["step-4"]);
        }
        // The way out is said, and it is one.
        for damage in [&cut as &dyn Fn(&Path), &empty] {
            refuse(file, damage, &["(or remove ", "training/step-4: the run then goes on from", "training/step-0)"]);
        }
        fs::remove_dir_all(damaged.join("training/step-4")).unwrap();
        assert_eq!(resume(&damaged).expect("it goes on").steps(), 0);
    }
    for file in ["config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"] {
        refuse(file, &missing, &[file.split('.').next().unwrap()]);
    }
    for file in ["config.json", "tokenizer.json"] {
        refuse(file, &missing, &[file, "is missing", "put back the one of this run"]);
    }
    refuse("config.json", &cut, &["config.json"]);
    refuse("tokenizer.json", &cut, &["tokenizer.json"]);
    refuse("metrics.jsonl", &|path| fs::write(path, "nonsense\n").unwrap(), &["metrics.jsonl", "line 1"]);

    let state = "training/step-4/state.json";
    let edit = |path: &Path, change: &dyn Fn(&mut Value)| {
        let mut state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        change(&mut state);
        fs::write(path, state.to_string()).unwrap();
    };
    refuse(state, &|path| edit(path, &|state| state["format"] = json!(2)), &["format 2"]);
    refuse(state, &|path| edit(path, &|state| state["recipe"]["batch"] = json!(0)), &["batch"]);
    refuse(state, &|path| edit(path, &|state| state["mood"] = json!("good")), &["mood"]);
    // A config of another shape than the weights.
    refuse("config.json", &|path| edit(path, &|config| config["hidden_size"] = json!(32)), &["model"]);
}
