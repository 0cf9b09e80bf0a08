//! A failing run stops and keeps its last good checkpoint.

use std::ops::ControlFlow;

use glass_train::{Event, Recipe, Run, TrainError};
use serde_json::json;

use crate::runs::{TestFolder, config, is_one_line, recipe, resume, tensor, train, weights};

/// A recipe whose first step ruins any model.
fn ruinous(learning_rate: f64, eval_every: usize, save_every: usize) -> Recipe {
    Recipe { learning_rate, min_learning_rate: 0.0, warmup_steps: 0, eval_every, save_every, ..recipe() }
}

/// Loss or gradients are NaN at the second step: the run falls back to its start.
#[test]
fn a_nan_step_stops_the_run() {
    let folder = TestFolder::new();
    let recipe = ruinous(1e30, 5, 4);
    let mut run = Run::start(folder.start("run", &config(json!({})), &recipe)).expect("a run");
    let mut steps = 0;
    let error = train(&mut run, &mut |event| {
        steps += usize::from(matches!(event, Event::Step { .. }));
        ControlFlow::Continue(())
    });
    let error = error.expect_err("no model survives it");
    assert!(matches!(error, TrainError::NotFinite { step: 2, .. }), "{error}");
    is_one_line(&error, &["step 2", "--learning-rate", "checkpoint is kept"]);
    assert_eq!(steps, 1);
    let kept = resume(run.folder()).expect("the checkpoint is whole");
    assert_eq!(kept.steps(), 0);
}

/// Weights saved before their loss is known: neither the checkpoint nor the model in the folder keeps them.
#[test]
fn ruined_checkpoints_are_discarded() {
    let folder = TestFolder::new();
    let recipe = ruinous(1e30, 5, 1);
    let mut run = Run::start(folder.start("run", &config(json!({})), &recipe)).expect("a run");
    let mut saved = 0;
    let error = train(&mut run, &mut |event| {
        saved += usize::from(matches!(event, Event::Saved { .. }));
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(TrainError::NotFinite { step: 2, .. })));
    assert_eq!(saved, 1);
    let kept = resume(run.folder()).expect("the checkpoint is whole");
    assert_eq!(kept.steps(), 0);
    let name = "model.layers.0.self_attn.q_proj.weight";
    let first = run.folder().join("training/step-0");
    assert_eq!(tensor(run.folder(), name), tensor(&first, name));
}

/// Weights that are NaN: the evaluation is the first to see them.
#[test]
fn a_nan_evaluation_stops_the_run() {
    let folder = TestFolder::new();
    let recipe = ruinous(1e39, 1, 1);
    let mut run = Run::start(folder.start("run", &config(json!({})), &recipe)).expect("a run");
    let error = train(&mut run, &mut |_| ControlFlow::Continue(())).expect_err("no model survives it");
    is_one_line(&error, &["step 1", "--learning-rate", "checkpoint is kept"]);
    let kept = resume(run.folder()).expect("the checkpoint is whole");
    assert_eq!(kept.steps(), 0);
}

/// The loss stays finite but rises: an earlier checkpoint is kept.
#[test]
fn a_rising_loss_stops_the_run() {
    let recipe = Recipe {
        steps: 200,
        learning_rate: 3.0,
        min_learning_rate: 3.0,
        warmup_steps: 200,
        clip: 0.0,
        eval_every: 200,
        save_every: 10,
        ..recipe()
    };
    let folder = TestFolder::new();
    let mut run = Run::start(folder.start("run", &config(json!({})), &recipe)).expect("a run");
    let mut saved = 0;
    let error = train(&mut run, &mut |event| {
        if let Event::Saved { step } = event {
            saved = step;
        }
        ControlFlow::Continue(())
    });
    let error = error.expect_err("it diverges");
    let TrainError::Diverged { step, now, best } = error else { panic!("{error}") };
    assert!(now > best + 1.0 && step > 25, "{error}");
    is_one_line(&error, &["diverges", "--learning-rate", "checkpoint is kept"]);
    let kept = resume(run.folder()).expect("the checkpoint is whole");
    assert!(kept.steps() <= saved && saved < step);
    assert!(!weights(run.folder()).is_empty());
}
