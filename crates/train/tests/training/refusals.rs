//! Inputs that no run can start with: one line that says why, and nothing written.

use std::fs;

use glass_train::{NewRun, Recipe, Run, Shape};
use serde_json::json;

use crate::runs::{TestFolder, config, is_one_line, recipe};

/// Starts a good run with `change` applied. Expects a line with all of `parts`, and no trace in the file system.
fn refuse(parts: &[&str], change: impl FnOnce(&TestFolder, &mut NewRun)) {
    let folder = TestFolder::new();
    let mut start = folder.start("run", &config(json!({})), &recipe());
    change(&folder, &mut start);
    let output = start.output.clone();
    let files = || fs::read_dir(folder.path(".")).unwrap().count();
    let before = (output.exists(), files());
    match Run::start(start) {
        Ok(_) => panic!("it starts, and should say: {parts:?}"),
        Err(error) => is_one_line(&error, parts),
    }
    assert_eq!((output.exists(), files()), before, "{parts:?}");
}

#[test]
fn good_inputs_start_without_warnings() {
    let folder = TestFolder::new();
    let start = folder.start("run", &config(json!({})), &recipe());
    let run = Run::start(start).expect("a run");
    assert_eq!(run.warnings(), [""; 0]);
}

#[test]
fn bad_texts_are_refused() {
    let text = |bytes: &'static [u8]| {
        move |folder: &TestFolder, start: &mut NewRun| {
            start.text = folder.path("odd.txt");
            fs::write(&start.text, bytes).unwrap();
        }
    };
    refuse(&["odd.txt", "empty"], text(b""));
    refuse(&["9 tokens", "17 are needed", "--context"], text(b"too short!"));
    refuse(&["odd.txt", "UTF-8", "byte 20"], text(b"until here it is all\xff right, and long enough"));
    refuse(&["missing.txt", "does not exist"], |folder, start| start.text = folder.path("missing.txt"));
    refuse(&["folder", "is a folder"], |folder, start| {
        start.text = folder.path("folder");
        fs::create_dir(&start.text).unwrap();
    });
    // One held-out token: none can be predicted.
    refuse(&["1 tokens", "measure"], |_, start| start.recipe.held_out = 0.001);
}

#[test]
fn bad_shapes_are_refused() {
    refuse(&["enormous", "tiny", "--config"], |_, start| start.shape = Shape::Preset("enormous".into()));
    refuse(&["nowhere.json"], |folder, start| start.shape = Shape::Config(folder.path("nowhere.json")));
    let shape = |fields| {
        move |folder: &TestFolder, start: &mut NewRun| *start = folder.start("run", &config(fields), &recipe())
    };
    refuse(&["vocab_size", "20"], shape(json!({"vocab_size": 20})));
    refuse(&["context", "16", "8 positions"], shape(json!({"max_position_embeddings": 8})));
    refuse(&["attention_dropout = 2", "probability"], shape(json!({"attention_dropout": 2})));
    refuse(&["num_key_value_heads"], shape(json!({"num_key_value_heads": 3})));
    refuse(&["no-such-dir"], |_, start| start.tokenizer = "no-such-dir/tokenizer.json".parse().unwrap());
}

#[test]
fn recipes_out_of_range_are_refused() {
    type Change = fn(&mut Recipe);
    let changes: [(&str, Change); 25] = [
        ("steps", |recipe| recipe.steps = 0),
        ("batch", |recipe| recipe.batch = 0),
        ("context", |recipe| recipe.context = 0),
        ("accumulate", |recipe| recipe.accumulate = 0),
        ("eval-every", |recipe| recipe.eval_every = 0),
        ("save-every", |recipe| recipe.save_every = 0),
        ("learning-rate", |recipe| recipe.learning_rate = 0.0),
        ("learning-rate", |recipe| recipe.learning_rate = -1e-3),
        ("learning-rate", |recipe| recipe.learning_rate = f64::NAN),
        ("learning-rate", |recipe| recipe.learning_rate = f64::INFINITY),
        ("min-learning-rate", |recipe| recipe.min_learning_rate = 1.0),
        ("min-learning-rate", |recipe| recipe.min_learning_rate = -1.0),
        ("warmup-steps", |recipe| recipe.warmup_steps = 13),
        ("weight-decay", |recipe| recipe.weight_decay = -0.1),
        ("weight-decay", |recipe| recipe.weight_decay = f64::NAN),
        ("clip", |recipe| recipe.clip = -1.0),
        ("clip", |recipe| recipe.clip = f64::NAN),
        ("beta1", |recipe| recipe.beta1 = 1.0),
        ("beta2", |recipe| recipe.beta2 = -0.1),
        ("beta2", |recipe| recipe.beta2 = f64::NAN),
        ("dropout", |recipe| recipe.dropout = 1.0),
        ("dropout", |recipe| recipe.dropout = -0.5),
        ("held-out", |recipe| recipe.held_out = 0.0),
        ("held-out", |recipe| recipe.held_out = 1.0),
        ("held-out", |recipe| recipe.held_out = f64::NAN),
    ];
    for (field, change) in changes {
        refuse(&[&format!("--{field} ")], |_, start| change(&mut start.recipe));
    }
}

#[test]
fn bad_folders_are_refused() {
    refuse(&["run", "not empty"], |folder, _| {
        fs::create_dir(folder.path("run")).unwrap();
        fs::write(folder.path("run/thesis.txt"), "years of work").unwrap();
    });
    refuse(&["missing"], |folder, start| start.output = folder.path("missing/run"));
    refuse(&["text.txt"], |folder, start| start.output = folder.path("text.txt"));
}
