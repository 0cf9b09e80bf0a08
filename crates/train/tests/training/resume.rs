//! A run that was stopped or killed and resumed equals an unbroken one.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    ops::ControlFlow,
    path::Path,
};

use glass_train::{Event, Recipe, Run};
use serde_json::{Value, json};

use crate::runs::{TestFolder, config, copy, metrics, recipe, resume, stop_at, to_the_end, train, weights};

/// Equal metrics, except for the seconds, and bit-equal weights.
fn assert_equal(a: &Path, b: &Path, case: &str) {
    assert_eq!(metrics(a), metrics(b), "{case}");
    assert!(weights(a) == weights(b), "{case}: other weights");
}

/// Stopped twice, the first time at any event: within training, before or during an evaluation, at the last step.
#[test]
fn stopped_runs_resume_to_the_unbroken_result() {
    let folders = TestFolder::new();
    let whole = folders.train("whole", &config(json!({})), &recipe());
    assert_eq!(metrics(&whole).len(), 12 + 3);

    type At = fn(Event) -> bool;
    let stops: [(&str, At); 6] = [
        ("a step", |event| matches!(event, Event::Step { step: 7, .. })),
        ("a step before an evaluation", |event| matches!(event, Event::Step { step: 5, .. })),
        ("evaluating", |event| matches!(event, Event::Evaluating { .. })),
        ("evaluated", |event| matches!(event, Event::Evaluated { .. })),
        ("saved", |event| matches!(event, Event::Saved { step: 8 })),
        ("the last step", |event| matches!(event, Event::Step { step: 12, .. })),
    ];
    for (number, (case, at)) in stops.into_iter().enumerate() {
        let start = folders.start(&format!("stopped-{number}"), &config(json!({})), &recipe());
        let mut run = Run::start(start).expect("a run");
        stop_at(&mut run, at);
        let (folder, step) = (run.folder().to_owned(), run.steps());
        drop(run);
        assert!(folder.join(format!("training/step-{step}")).is_dir(), "{case}");

        let mut run = resume(&folder).expect("it resumes");
        assert_eq!(run.steps(), step, "{case}");
        stop_at(&mut run, |event| matches!(event, Event::Step { step: 9, .. }));
        let mut run = resume(&folder).expect("it resumes again");
        let outcome = to_the_end(&mut run);
        assert!(outcome.complete, "{case}");
        assert_equal(&whole, &folder, case);
        // A complete run resumes too, and nothing changes.
        let again = to_the_end(&mut resume(&folder).expect("it resumes"));
        assert_eq!((again.step, again.held_out_loss), (12, outcome.held_out_loss), "{case}");
        assert_equal(&whole, &folder, case);
    }
}

/// A kill leaves an older checkpoint, metrics ahead of it that end in an incomplete line, and an incomplete checkpoint.
/// The run accumulates two batches and has both dropouts.
#[test]
fn killed_runs_resume_to_the_unbroken_result() {
    let recipe = Recipe { accumulate: 2, dropout: 0.2, ..recipe() };
    let config = config(json!({"attention_dropout": 0.1}));
    let folders = TestFolder::new();
    let killed = folders.path("killed");
    let mut run = Run::start(folders.start("whole", &config, &recipe)).expect("a run");
    let whole = run.folder().to_owned();
    let outcome = train(&mut run, &mut |event| {
        if matches!(event, Event::Step { step: 7, .. }) {
            copy(&whole, &killed);
        }
        ControlFlow::Continue(())
    });
    assert!(outcome.expect("it trains").complete);

    let mut log = OpenOptions::new().append(true).open(killed.join("metrics.jsonl")).unwrap();
    log.write_all(b"{\"step\":8,\"train_lo").unwrap();
    let unfinished = killed.join("training/unfinished");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("model.safetensors"), b"half of it").unwrap();

    let mut run = resume(&killed).expect("it resumes");
    assert_eq!(run.steps(), 4);
    to_the_end(&mut run);
    assert_equal(&whole, &killed, "killed");
    let left: Vec<_> = fs::read_dir(killed.join("training")).unwrap().collect();
    assert_eq!(left.len(), 2, "two checkpoints are kept: {left:?}");

    // Dropout matters: without it, the run is another.
    let without = Recipe { dropout: 0.0, ..recipe };
    let without = folders.train("without", &config, &without);
    assert_ne!(metrics(&without), metrics(&whole));
}

/// Runs of earlier versions must resume.
#[test]
fn state_files_keep_their_fields() {
    let folders = TestFolder::new();
    let run = folders.train("run", &config(json!({})), &recipe());
    let state = fs::read(run.join("training/step-12/state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    let fields = |value: &Value| {
        let fields = value.as_object().unwrap();
        fields.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    let expected = "format step seconds recipe text text_mark tokenizer_is_learned";
    assert_eq!(fields(&state), expected);
    assert_eq!(fields(&state["text_mark"]), "bytes fnv");
}

/// Killed between the rename of a new checkpoint and the removal of an old one.
#[test]
fn the_newest_checkpoint_counts() {
    let folders = TestFolder::new();
    let mut run = Run::start(folders.start("run", &config(json!({})), &recipe())).expect("a run");
    let folder = run.folder().to_owned();
    stop_at(&mut run, |event| matches!(event, Event::Saved { step: 4 }));
    copy(&folder.join("training/step-4"), &folders.path("step-4"));
    let mut run = resume(&folder).expect("it resumes");
    // By number: as text, 10 sorts before 4.
    stop_at(&mut run, |event| matches!(event, Event::Step { step: 10, .. }));
    copy(&folders.path("step-4"), &folder.join("training/step-4"));

    let mut run = resume(&folder).expect("it resumes");
    assert_eq!(run.steps(), 10);
    to_the_end(&mut run);
    let whole = folders.train("whole", &config(json!({})), &recipe());
    assert_equal(&whole, &folder, "two checkpoints");
    assert!(!folder.join("training/step-4").exists());
}
